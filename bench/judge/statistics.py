"""The few statistics that verdicts stand on, over paired differences of logarithms (docs/method.md).

scipy.special only: scipy.stats takes two seconds to import.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

POWER = 0.8
MOST_PAIRS = 10_000
MOST_RANKED = 200
"""Pairs of which signed ranks are counted out: beyond that a mean needs no such check, and counting takes long."""


@dataclass(frozen=True)
class Paired:
    """Mean and standard deviation (n - 1) of independent differences; their mean follows a t distribution."""

    mean: float
    sd: float
    pairs: int

    @classmethod
    def of(cls, differences: Sequence[float] | npt.NDArray[np.float64]) -> Paired:
        """At least one difference."""
        values = np.asarray(differences, dtype=float)
        sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        return cls(float(values.mean()), sd, len(values))

    def p_above(self, bound: float) -> float:
        """One-sided p-value of "the true mean is at most `bound`": small means that it is above."""
        return self._p(self.mean - bound)

    def p_below(self, bound: float) -> float:
        """One-sided p-value of "the true mean is at least `bound`": small means that it is below."""
        return self._p(bound - self.mean)

    def interval(self, level: float) -> tuple[float, float] | None:
        """Two-sided interval that misses the truth with probability `level`; None below two pairs."""
        if self.pairs < 2:
            return None
        half = self.half_width(level)
        return self.mean - half, self.mean + half

    def half_width(self, level: float) -> float:
        """Of the two-sided interval; NaN below two pairs."""
        if self.pairs < 2:
            return math.nan
        return float(stdtrit(self.pairs - 1, 1 - level / 2)) * self._error

    @property
    def _error(self) -> float:
        return self.sd / math.sqrt(self.pairs)

    def _p(self, distance: float) -> float:
        if self.pairs < 2:
            return 1.0
        if math.isinf(distance):
            return 0.0 if distance > 0 else 1.0
        if self._error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.pairs - 1, -distance / self._error))


def ratio(logarithm: float) -> float:
    """e to the power of it, and at most 1e304: the interval of two wild pairs may reach further than numbers do."""
    return math.exp(min(logarithm, 700.0))


def pairs_needed(sd: float, distance: float, level: float) -> int:
    """Pairs after which a two-sided test at `level` tells a mean from a bound `distance` away, in four of five cases;
    at most `MOST_PAIRS`, which stands for "more than anybody measures"."""
    if not distance > 0:
        return MOST_PAIRS

    def enough(pairs: int) -> bool:
        quantiles = float(stdtrit(pairs - 1, 1 - level / 2)) + float(stdtrit(pairs - 1, POWER))
        return quantiles * sd <= distance * math.sqrt(pairs)

    low, high = 2, MOST_PAIRS
    while low < high:  # `enough` is false below some number and true above it
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def hodges_lehmann(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """Two-sided interval for the centre of symmetric differences by signed ranks (Hodges and Lehmann 1963), exact;
    None where so few differences cannot give one at this level, or where there are more than `MOST_RANKED`."""
    values = np.asarray(differences, dtype=float)
    if len(values) > MOST_RANKED:
        return None
    first, second = np.triu_indices(len(values))
    averages = np.sort((values[first] + values[second]) / 2)
    cut = _signed_rank_cut(len(values), level / 2)
    if cut == 0:
        return None
    return float(averages[cut - 1]), float(averages[len(averages) - cut])


@cache
def _signed_rank_cut(pairs: int, tail: float) -> int:
    """The greatest k with P(W < k) <= tail, for Wilcoxon's W of `pairs` signed ranks."""
    shares = np.zeros(pairs * (pairs + 1) // 2 + 1)
    shares[0] = 1.0
    for rank in range(1, pairs + 1):  # each rank counts or does not
        shares /= 2
        shares[rank:] = shares[rank:] + shares[: len(shares) - rank]
    return int(np.searchsorted(np.cumsum(shares), tail, side="right"))
