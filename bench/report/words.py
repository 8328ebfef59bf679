"""How a verdict is shown to people, the same in every form of report."""

from __future__ import annotations

from bench.judge.decisions import Judged
from bench.judge.ledger import Entry, RollUp
from bench.judge.reasons import points
from bench.judge.verdicts import Verdict

SIGNS = {
    "confirmed": "✓", "exceeded": "↑", "refuted": "✗", "mixed": "≠", "inconclusive": "?", "invalid": "!",
    "not_testable": "–",
}  # fmt: skip
"""A sign beside each word, so that colour never has to carry it."""


def word(verdict: str) -> str:
    """A verdict in words, with its sign."""
    return f"{SIGNS[verdict]} {verdict.replace('_', ' ')}"


def speed(verdict: Verdict) -> str:
    """Speed-up with its 95 % interval; empty where there is none."""
    return str(verdict.speedup) if verdict.speedup else ""


def judged(found: Judged | None) -> str:
    """The interval that a verdict stands on, with its level; of few blocks its ends can be anywhere."""
    if found is None:
        return ""
    low = f"{found.low:.2f}" if found.low >= 0.01 else "<\u00a00.01"
    high = f"{found.high:.2f}" if found.high <= 1000 else ">\u00a01000"
    return f"[{low}, {high}] at {100 * (1 - found.level):.4g} %"


def quality(verdict: Verdict) -> str:
    """Quality loss with its one-sided bound, against the margin of the claim; empty where nothing was judged."""
    loss = verdict.quality
    if loss is None:
        return ""
    kind = "changed" if loss.metric == "agreement" else "loss"
    shown = f"{kind} {points(loss.loss)}"
    if loss.upper is not None:
        shown += f" (≤ {points(loss.upper)})"
    return shown if verdict.quality_margin is None else f"{shown} of {points(verdict.quality_margin)}"


def rolled(found: RollUp | None) -> str:
    """What several verdicts come to, and where; empty where there is nothing to roll up."""
    if found is None or found.verdict == "not_testable":
        return ""
    return f"{found.summary}. {found.places}" if found.places else found.summary


def heading(entry: Entry, counted: bool) -> str:
    """Over the verdicts of one claim: the hardware it speaks of, or other hardware, which never counts for it."""
    if not counted:
        return "on other hardware, not counted"
    return "on the hardware it speaks of" if entry.claim.hardware == "gpu" else "on any hardware"
