"""Speed-up of one cell against another, paired over blocks (docs/method.md).

One process per cell and block is one observation, whatever number of requests it answered: d_i = ln(speed of the cell)
- ln(speed of the baseline) in block i, where speed is throughput or another metric (metrics.py). The speed-up is
exp(mean d), its interval that of a paired t with as many degrees of freedom as pairs less one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.claims import Metric
from bench.judge.metrics import speed
from bench.judge.statistics import Paired, ratio
from bench.records import TrialRecord

LEVEL = 0.05
"""Of the intervals that are shown: 95 %, whatever level a verdict is drawn at."""

NARROW = 0.02
"""An interval narrower than this needs a third decimal."""

Cell = tuple[str, str]
"""(partition, optimization)"""
Cells = Mapping[Cell, Mapping[int, TrialRecord]]
"""The trials of each cell by block."""


@dataclass(frozen=True)
class SpeedUp:
    """`low` and `high` are None below two pairs, and where pairs are not of one block."""

    estimate: float
    low: float | None
    high: float | None
    pairs: int

    @classmethod
    def of(cls, paired: Paired, interleaved: bool = True) -> SpeedUp:
        """Back from logarithms to a ratio. Not interleaved: nobody knows how much the two sides drifted apart, and the
        spread of repetitions within each would be a far too narrow interval."""
        low, high = (paired.interval(LEVEL) if interleaved else None) or (None, None)
        return cls(
            ratio(paired.mean),
            None if low is None else ratio(low),
            None if high is None else ratio(high),
            paired.pairs,
        )

    def __str__(self) -> str:
        """With its 95 % interval, and as many digits as that needs to be seen."""
        if self.low is None or self.high is None:
            return f"{self.estimate:.2f}x"
        digits = 2 if self.high - self.low >= NARROW else 3
        return f"{self.estimate:.{digits}f}x [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def by_cell(trials: Iterable[TrialRecord]) -> Cells:
    """Index trials once; of a cell and block there is one trial."""
    cells: dict[Cell, dict[int, TrialRecord]] = {}
    for trial in trials:
        cells.setdefault((trial.partition, trial.optimization), {})[trial.block] = trial
    return cells


def differences(cells: Cells, cell: Cell, baseline: Cell, metric: Metric | None = None) -> dict[int, float]:
    """ln ratio of speeds by block, of the blocks in which both are valid."""
    treated, reference = _speeds(cells, cell, metric), _speeds(cells, baseline, metric)
    return {
        block: math.log(treated[block]) - math.log(reference[block]) for block in sorted(treated.keys() & reference)
    }


def speed_up(
    cells: Cells, partition: str, optimization: str, baseline: str, interleaved: bool = True
) -> SpeedUp | None:
    """Against the baseline of the same partition; None when no block has both, or for the baseline itself."""
    if optimization == baseline:
        return None
    found = differences(cells, (partition, optimization), (partition, baseline))
    return SpeedUp.of(Paired.of(list(found.values())), interleaved) if found else None


def _speeds(cells: Cells, cell: Cell, metric: Metric | None) -> dict[int, float]:
    return {
        block: found
        for block, trial in cells.get(cell, {}).items()
        if trial.status == "ok" and (found := speed(trial, metric))
    }
