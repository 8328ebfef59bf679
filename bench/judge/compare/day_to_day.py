"""The slow-down between runs of different times. They share no blocks, so how runs vary from day to day counts. Pure.

A run's logarithm of cost is truth + day + error: the day's deviation (sd `tau`) is one for all runs of that day, and
the error is that of a mean over blocks. Where base runs of three or more days are at hand, the spread of the days
measures both at once, and the day is the unit (docs/method.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from bench.judge.compare.comparison import Shift

MEASURES = 3
"""Base days whose spread measures their deviation: of two, an interval would be twelve times its standard error."""
ASSUMED = 0.01
"""Standard deviation from day to day where nobody tells and there are fewer days: a machine of one's own, quiet."""
DOUBT = 0.01


@dataclass(frozen=True)
class Sample:
    """One day's valid blocks of one series: mean logarithm of cost, the standard error of that, and its degrees of
    freedom."""

    mean: float
    error: float
    degrees: float

    @classmethod
    def of(cls, logs: Sequence[float]) -> Sample:
        """Of one run; at least two."""
        return cls(float(np.mean(logs)), float(np.std(logs, ddof=1)) / math.sqrt(len(logs)), len(logs) - 1)

    @classmethod
    def of_day(cls, runs: Sequence[Sample]) -> Sample:
        """Of all runs of one day, at least one: they share its deviation, so they are one observation of it."""
        parts = [(run.error**2 / len(runs) ** 2, run.degrees) for run in runs]
        return cls(float(np.mean([run.mean for run in runs])), *_together(parts))


@dataclass(frozen=True)
class Apart:
    """`day_sd`: standard deviation of one day's mean. tau: what was taken for the day's deviation; None: the base days'
    own spread measured it. doubted: three or more of them differ by more than `tau` allows, once in a hundred."""

    shift: Shift
    day_sd: float
    tau: float | None
    doubted: bool = False


def apart(base: Sequence[Sample], candidate: Sequence[Sample], told: float | None) -> Apart:
    """Days, at least one on each side. `told`: the day's deviation, where somebody knows it."""
    before, after = len(base), len(candidate)
    mean = float(np.mean([day.mean for day in candidate]) - np.mean([day.mean for day in base]))
    halves = 1 / before + 1 / after
    within = float(np.mean([day.error**2 for day in base]))
    spread = _squares([day.mean for day in base])
    if told is not None or before < MEASURES:
        tau = ASSUMED if told is None else told
        parts = [
            *((day.error**2 / before**2, day.degrees) for day in base),
            *((day.error**2 / after**2, day.degrees) for day in candidate),
            (tau**2 * halves, math.inf),
        ]
        expected = tau**2 + within
        doubted = before >= MEASURES and spread > 0 and _too_far(spread, expected, before - 1)
        return Apart(Shift(mean, *_together(parts)), math.sqrt(expected), tau, doubted)
    degrees = before + after - 2
    squares = spread + _squares([day.mean for day in candidate])
    # Never less than what the blocks tell: three days that agree by chance would claim too much.
    variance = max(squares / degrees, within)
    # A candidate of fewer or noisier blocks than the base days had errs by more than their spread shows.
    extra = max(0.0, float(np.mean([day.error**2 for day in candidate])) - within) / after
    parts = [(variance * halves, degrees), (extra, sum(day.degrees for day in candidate))]
    return Apart(Shift(mean, *_together(parts)), math.sqrt(variance), None)


def _squares(values: Sequence[float]) -> float:
    return float(((np.asarray(values) - np.mean(values)) ** 2).sum())


def _too_far(squares: float, variance: float, degrees: int) -> bool:
    """Whether such a sum of squares comes less than once in a hundred."""
    return variance == 0 or float(chdtrc(degrees, squares / variance)) < DOUBT


def _together(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum, from the variances of its parts and theirs (Welch 1947,
    Satterthwaite 1946)."""
    total = sum(variance for variance, _ in parts)
    uncertain = sum(variance**2 / degrees for variance, degrees in parts)
    return math.sqrt(total), max(1.0, total**2 / uncertain) if uncertain > 0 else math.inf
