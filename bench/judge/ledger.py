"""The ledger: every claim with everything that is known about it. No claim ever drops out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.claims import Claim
from bench.judge.contrasts import Unheld
from bench.judge.decisions import DECIDED, Word
from bench.judge.evidence import RunEvidence
from bench.judge.published import Published, judge_published
from bench.judge.verdicts import Verdict, judge_run, located
from bench.stored import StoredRun


@dataclass(frozen=True)
class RollUp:
    """What the verdicts on one claim come to: `mixed` where it holds in some places and fails in others. `holds`,
    `fails` and `open` name the places. Measured verdicts on the claimed baseline decide it where there are any."""

    verdict: str
    summary: str
    holds: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def places(self) -> str:
        """The lists in a line: "Holds: a; b. Fails: c" """
        lists = (("Holds", self.holds), ("Fails", self.fails), ("Open", self.open))
        return ". ".join(f"{name}: {'; '.join(places)}" for name, places in lists if places)


@dataclass(frozen=True)
class Entry:
    """A claim and its verdicts. `own` is what those on the hardware that it speaks of come to; `beside` those on other
    hardware, which never count for it; None where there are none."""

    name: str
    claim: Claim
    own: RollUp
    beside: RollUp | None
    verdicts: tuple[Verdict, ...]

    @property
    def verdict(self) -> str:
        """Of the whole claim."""
        return self.own.verdict


def ledger(claims: Mapping[str, Claim], runs: Sequence[StoredRun], published: Mapping[str, Published]) -> list[Entry]:
    """An entry for every claim, in the order in which they are given."""
    rows: dict[str, list[Verdict]] = {name: [] for name in claims}
    for run in runs:
        evidence = RunEvidence(run)
        # The claims that the run was planned with are judged as well: whoever reads it later must not make the family
        # of verdicts smaller by asking for fewer of them.
        for verdict in judge_run(evidence, {**run.claims, **claims}):
            if verdict.claim in rows:
                rows[verdict.claim].append(verdict)
        for unheld in evidence.contrasts.unheld(claims):
            rows[unheld.claim].append(_unheld(evidence, claims[unheld.claim], unheld))
    for name, source in published.items():
        for verdict in judge_published(name, source, claims):
            rows[verdict.claim].append(verdict)
    devices = {(run.plan.device_kind, run.plan.device) for run in runs}
    return [_entry(name, claim, rows[name], devices) for name, claim in claims.items()]


def place(verdict: Verdict, among_others: bool = True) -> str:
    """Where a verdict holds, in words; `among_others`: with its device and run, because there are several."""
    origin = (verdict.device, verdict.run) if among_others else ()
    metric = verdict.metric if verdict.metric == "p99" else None
    parts = (verdict.optimization, verdict.partition, metric, verdict.workload, verdict.scenario, *origin)
    against = f" against {verdict.baseline}" if verdict.role == "same_runtime" else ""
    printed = " (as printed)" if verdict.evidence == "published" else ""
    return ", ".join(part for part in parts if part) + against + printed


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The row with plain values, for `--json`."""
    return asdict(verdict)


def _entry(name: str, claim: Claim, found: list[Verdict], devices: set[tuple[str, str]]) -> Entry:
    counted = [verdict for verdict in found if verdict.counted]
    beside = [verdict for verdict in found if not verdict.counted]
    if claim.settled:
        counted.insert(0, _settled(name, claim))
        own = RollUp(claim.settled.verdict, claim.settled.reason)
    else:
        here = any(claim.counts(*device) for device in devices)
        counted = counted or [_nothing(name, claim, here and claim.measurable)]
        own = _roll_up(counted, claim)
    return Entry(name, claim, own, _roll_up(beside, claim) if beside else None, (*counted, *beside))


def _roll_up(verdicts: Sequence[Verdict], claim: Claim) -> RollUp:
    chosen = _of_all_metrics(_decisive(verdicts), claim)
    counts = Counter(verdict.verdict for verdict in chosen)
    tried = sum(counts.values()) - counts["not_testable"]
    if not tried:
        return RollUp("not_testable", next(verdict.reason for verdict in verdicts))
    decided: set[str] = {word for word in DECIDED if counts[word]}
    words = [f"{count} {word}" for word, count in counts.most_common() if word != "not_testable"]
    if len(decided) == 1:
        verdict = decided.pop()
    elif decided:
        verdict = "mixed" if "refuted" in decided else "confirmed"  # confirmed here, exceeded there
    else:
        verdict = "inconclusive" if counts["inconclusive"] else "invalid"
    several = len({(v.device, v.run) for v in chosen}) > 1

    def places(*words: str) -> tuple[str, ...]:
        return tuple(place(v, several) for v in chosen if v.verdict in words)

    summary = f"{', '.join(words)} of {tried}"
    return RollUp(
        verdict, summary, places("confirmed", "exceeded"), places("refuted"), places("inconclusive", "invalid")
    )


def _decisive(verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """Measured ones before printed ones, and those on the claimed baseline before those within one runtime: an ONNX
    model has no torch baseline, so there the runtime's own is all there is."""
    measured = [verdict for verdict in verdicts if verdict.evidence == "measured"]
    claimed = [verdict for verdict in measured if verdict.role == "claimed"]
    return claimed or measured or verdicts


def _of_all_metrics(verdicts: Sequence[Verdict], claim: Claim) -> Sequence[Verdict]:
    """One for each place, where a claim speaks of several metrics: it holds there if it holds in all of them, and fails
    if it fails in one."""
    if len(claim.metrics) < 2:
        return verdicts
    places: dict[tuple[str | None, ...], list[Verdict]] = {}
    for one in verdicts:
        key = (one.run, one.workload, one.scenario, one.partition, one.optimization, one.baseline, one.role)
        places.setdefault(key, []).append(one)
    found: list[Verdict] = []
    for together in places.values():
        words = [one.verdict for one in together]
        whole: Word = "inconclusive"
        if "refuted" in words:
            whole = "refuted"
        elif len(words) == len(claim.metrics) and set(words) <= set(DECIDED):
            whole = "confirmed"
        elif set(words) == {"not_testable"}:
            whole = "not_testable"
        found.append(replace(together[0], verdict=whole, metric="throughput"))
    return found


def _settled(name: str, claim: Claim) -> Verdict:
    assert claim.settled is not None
    word: Word = claim.settled.verdict
    reason = f"{claim.settled.reason} ({claim.settled.source})"
    return Verdict(claim=name, verdict=word, reason=reason, counted=True, evidence="specification")


def _nothing(name: str, claim: Claim, here: bool) -> Verdict:
    """No evidence from the hardware that the claim speaks of: what a test would need. `here`: that hardware is here."""
    reason = f"needs {claim.needs}" if claim.needs else "needs a run that measures its treatments beside its baseline"
    if here:
        reason = f"none of its treatments was measured beside {claim.baseline}: {', '.join(claim.treatments)}"
    if claim.devices:
        reason += f"; it speaks of {', '.join(pattern.strip('*') for pattern in claim.devices)}"
    return Verdict(claim=name, verdict="not_testable", reason=reason, counted=True, evidence="none")


def _unheld(evidence: RunEvidence, claim: Claim, unheld: Unheld) -> Verdict:
    return Verdict(
        claim=unheld.claim,
        verdict="not_testable",
        reason=unheld.reason,
        evidence="none",
        partition=unheld.partition,
        optimization=unheld.optimization,
        baseline=unheld.baseline,
        role="claimed",
        **located(evidence, claim),
    )
