"""Accuracy of two versions on the same items: counted, so there is nothing to test. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.judge.compare.comparison import Word
from bench.judge.compare.wording import WORSE
from bench.judge.reasons import points
from bench.records import TrialRecord

ROUNDING = 1e-9
"""What reckoning with shares adds to them; far below one item."""


@dataclass(frozen=True)
class Points:
    """`lost`: accuracy of the base less that of the candidate, as a share; None where that cannot be told."""

    word: Word
    reason: str
    lost: float | None = None


def points_lost(base: Iterable[TrialRecord], candidate: Iterable[TrialRecord], threshold: float) -> Points | None:
    """None where the base has no accuracy: agreement with a baseline of its own run says nothing about another's."""
    before, after = _measured(base), _measured(candidate)
    if not before:
        return None
    if not after:
        return Points("not_enough_evidence", "the candidate's accuracy was not measured")
    if len(before) > 1 or len(after) > 1:
        side = "base" if len(before) > 1 else "candidate"
        return Points("not_enough_evidence", f"trials of the {side} differ in accuracy, so they ran different models")
    ((was, items),), ((now, again),) = before, after
    if items != again:
        return Points("not_enough_evidence", f"{items} items against {again}: only the same items can be compared")
    lost = was - now
    worse, better = WORSE["quality"]
    said = f"{points(abs(lost))} {worse if lost > 0 else better}" if lost else "the same accuracy"
    said = f"{said} ({points(was)} before, {points(now)} now, on {items} items)"
    if lost > 0 and lost >= threshold - ROUNDING:
        return Points("regressed", f"{said}; from {points(threshold)} on it matters", lost)
    return Points("not_regressed", said, lost)


def tells_accuracy(trials: Iterable[TrialRecord]) -> bool:
    return bool(_measured(trials))


def _measured(trials: Iterable[TrialRecord]) -> set[tuple[float, int]]:
    """Accuracies and numbers of items, of all trials that tell."""
    return {
        (trial.quality.accuracy, trial.quality.items)
        for trial in trials
        if trial.quality and trial.quality.accuracy is not None
    }
