"""The verdict table: every claim, what it says, and every verdict on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.judge.ledger import Entry
from bench.judge.reasons import band
from bench.judge.verdicts import Verdict
from bench.report import words


@dataclass(frozen=True)
class Line:
    """One verdict as it is shown. `order` holds what columns are sorted by where that is not their text."""

    verdict: Verdict
    treatment: str
    baseline: str
    place: str
    run: str
    speed: str
    judged: str
    quality: str
    reason: str
    speed_order: float


@dataclass(frozen=True)
class Part:
    """The verdicts of one claim that count for it, or those that stand beside it."""

    heading: str
    counted: bool
    devices: str
    summary: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Group:
    """A claim with its verdicts."""

    entry: Entry
    claimed: str
    source: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Untested:
    """A claim that nothing is known about, and what a test would need."""

    entry: Entry
    claimed: str
    source: str
    needs: str
    decided_by: str


def one_subject(entries: Sequence[Entry]) -> bool:
    """Whether all verdicts are about one workload and scenario, which then need not be said in every row."""
    return len({(v.workload, v.scenario) for entry in entries for v in entry.verdicts if v.workload}) == 1


def several_runs(entries: Sequence[Entry]) -> bool:
    """Whether rows have to say which run they are from."""
    return len({v.run for entry in entries for v in entry.verdicts if v.evidence == "measured"}) > 1


def groups(entries: Sequence[Entry]) -> list[Group]:
    """Claims with evidence: those that count first, those that nothing had to be measured for last."""
    alone, several = one_subject(entries), several_runs(entries)
    known = [entry for entry in entries if not _is_untested(entry)]
    known.sort(key=lambda entry: (entry.claim.settled is not None, entry.verdict == "not_testable"))
    return [_group(entry, alone, several) for entry in known]


def untested(entries: Sequence[Entry]) -> list[Untested]:
    """Claims without any evidence: they stay in sight."""
    return [
        Untested(entry, claimed(entry), source(entry), entry.verdicts[0].reason, entry.claim.decided_by)
        for entry in entries
        if _is_untested(entry)
    ]


def claimed(entry: Entry) -> str:
    """What is claimed, in numbers."""
    if entry.claim.reading == "qualitative":
        return ""
    bound = entry.claim.quality_loss_below
    return band(entry.claim) + (f", quality loss below {100 * bound:g} %" if bound else "")


def source(entry: Entry) -> str:
    """Where it is claimed."""
    found = entry.claim.source
    return " ".join(part for part in (found.document, found.section) if part)


def _is_untested(entry: Entry) -> bool:
    return all(verdict.evidence == "none" and verdict.run is None for verdict in entry.verdicts)


def _group(entry: Entry, alone: bool, several: bool) -> Group:
    parts = []
    for counted in (True, False):
        lines = [_line(verdict, alone, several) for verdict in entry.verdicts if verdict.counted == counted]
        if lines:
            devices = dict.fromkeys(line.verdict.device for line in lines if line.verdict.device)
            summary = words.rolled(entry.own if counted else entry.beside) if len(lines) > 1 else ""
            parts.append(Part(words.heading(entry, counted), counted, "; ".join(devices), summary, lines))
    return Group(entry, claimed(entry), source(entry), parts)


def _line(verdict: Verdict, alone: bool, several: bool) -> Line:
    speedup, judged = verdict.speedup, verdict.judged
    place = (verdict.partition, None if alone else verdict.workload, None if alone else verdict.scenario)
    return Line(
        verdict,
        treatment=verdict.optimization or "",
        baseline=verdict.baseline or "",
        place=", ".join(part for part in place if part),
        run=verdict.run or "" if several and verdict.evidence == "measured" else "",
        speed=words.speed(verdict),
        judged=words.judged(judged),
        quality=words.quality(verdict).replace(" %", "\u00a0%").replace("≤ ", "≤\u00a0"),
        reason=verdict.reason,
        speed_order=speedup.estimate if speedup else -1.0,
    )
