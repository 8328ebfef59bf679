"""The ledger: every claim with everything that is known about it. No claim ever drops out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.claims import Claim
from bench.judge.evidence import RunEvidence, Unheld
from bench.judge.published import Published, judge_published
from bench.judge.verdicts import DECIDED, Verdict, Word, judge_run
from bench.stored import StoredRun


@dataclass(frozen=True)
class Entry:
    """A claim and its verdicts. `verdict` speaks for the hardware that the claim is about: `mixed` where it holds in
    some places and not in others. `holds`, `fails` and `open` name those places."""

    name: str
    claim: Claim
    verdict: str
    summary: str
    verdicts: tuple[Verdict, ...]
    holds: tuple[str, ...]
    fails: tuple[str, ...]
    open: tuple[str, ...]


def ledger(claims: Mapping[str, Claim], runs: Sequence[StoredRun], published: Mapping[str, Published]) -> list[Entry]:
    """An entry for every claim, in the order in which they are given."""
    rows: dict[str, list[Verdict]] = {name: [] for name in claims}
    for run in runs:
        evidence = RunEvidence(run)
        for verdict in judge_run(evidence, claims):
            rows[verdict.claim].append(verdict)
        for unheld in evidence.unheld(claims):
            rows[unheld.claim].append(_unheld(evidence, claims[unheld.claim], unheld))
    for name, source in published.items():
        for verdict in judge_published(name, source, claims):
            rows[verdict.claim].append(verdict)
    return [_entry(name, claim, rows[name]) for name, claim in claims.items()]


def place(verdict: Verdict) -> str:
    """Where a verdict holds, in words."""
    parts = (verdict.optimization, verdict.partition, verdict.workload, verdict.scenario)
    against = f" against {verdict.baseline}" if verdict.role == "same_runtime" else ""
    return ", ".join(part for part in parts if part) + against


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The row with plain values, for `--json`."""
    return asdict(verdict)


def _entry(name: str, claim: Claim, found: list[Verdict]) -> Entry:
    counted = [verdict for verdict in found if verdict.counted]
    if claim.settled:
        counted.insert(0, _settled(name, claim))
    elif not counted:
        counted = [_nothing(name, claim)]
    own = [verdict for verdict in counted if verdict.role != "same_runtime"]
    word, summary = _roll_up(claim, own)
    return Entry(
        name,
        claim,
        word,
        summary,
        (*counted, *(verdict for verdict in found if not verdict.counted)),
        holds=tuple(place(v) for v in own if v.verdict in ("confirmed", "exceeded")),
        fails=tuple(place(v) for v in own if v.verdict == "refuted"),
        open=tuple(place(v) for v in own if v.verdict in ("inconclusive", "invalid")),
    )


def _roll_up(claim: Claim, own: Sequence[Verdict]) -> tuple[str, str]:
    """The word for a whole claim, and where it holds and where not, counted."""
    counts = Counter(verdict.verdict for verdict in own)
    decided: set[str] = {word for word in DECIDED if counts[word]}
    tried = sum(counts.values()) - counts["not_testable"]
    if not tried:
        return "not_testable", next((verdict.reason for verdict in own), claim.needs)
    parts = [f"{count} {word.replace('_', ' ')}" for word, count in counts.most_common()]
    summary = f"{', '.join(parts)} of {len(own)} tried here"
    if len(decided) == 1:
        return decided.pop(), summary
    if decided:
        return ("mixed" if "refuted" in decided else "confirmed"), summary  # confirmed here, exceeded there
    return "inconclusive" if counts["inconclusive"] else "invalid", summary


def _settled(name: str, claim: Claim) -> Verdict:
    assert claim.settled is not None
    word: Word = claim.settled.verdict
    reason = f"{claim.settled.reason} ({claim.settled.source})"
    return Verdict(claim=name, verdict=word, reason=reason, counted=True, evidence="specification")


def _nothing(name: str, claim: Claim) -> Verdict:
    """No evidence from the hardware that the claim speaks of: what a test would need."""
    reason = f"needs {claim.needs}" if claim.needs else "needs a run that measures its treatments beside its baseline"
    if claim.devices:
        reason += f"; it speaks of {', '.join(claim.devices)}"
    return Verdict(claim=name, verdict="not_testable", reason=reason, counted=True, evidence="none")


def _unheld(evidence: RunEvidence, claim: Claim, unheld: Unheld) -> Verdict:
    plan = evidence.plan
    return Verdict(
        claim=unheld.claim,
        verdict="not_testable",
        reason=unheld.reason,
        counted=claim.counts(plan.device_kind, plan.device),
        evidence="none",
        run=evidence.run.name,
        device=plan.device,
        device_kind=plan.device_kind,
        partition=unheld.partition,
        workload=plan.workload,
        scenario=plan.scenario,
        optimization=unheld.optimization,
        baseline=unheld.baseline,
        role="claimed",
    )
