"""Whether a version got slower: one outcome for each series and metric, and what they come to. Pure (docs/method.md).

What is compared are costs: seconds for an item, a p99, a start-up, joules for an item. A slow-down is a difference of
their logarithms, candidate less base, so above 0 is worse whatever the metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scipy.special import stdtr, stdtrit

from bench.errors import GATE_FAILED, NOT_ENOUGH_EVIDENCE
from bench.judge.decisions import holm
from bench.judge.differences import Difference
from bench.judge.metrics import energy_per_item_j, speed
from bench.judge.series import Series
from bench.judge.speedup import LEVEL, SpeedUp
from bench.judge.statistics import Paired, ratio
from bench.records import TrialRecord

Word = Literal["regressed", "not_regressed", "not_enough_evidence"]
Metric = Literal["throughput", "start_up", "p99", "energy", "quality"]
Unit = Literal["block", "day"]

FEWEST = 5
"""Valid blocks below which nothing is said: the t interval of fewer reaches further than what it is to tell apart."""


@dataclass(frozen=True)
class Shift:
    """An estimated slow-down, its standard error, and the degrees of freedom of that (infinite: the error is known)."""

    mean: float
    error: float
    degrees: float

    @classmethod
    def of(cls, paired: Paired) -> Shift | None:
        """Of paired slow-downs; None below two pairs."""
        if paired.pairs < 2:
            return None
        return cls(paired.mean, paired.sd / math.sqrt(paired.pairs), paired.pairs - 1)

    def p_slower(self) -> float:
        """One-sided p-value of "it is not slower": small means that it is."""
        return self._p(self.mean)

    def p_below(self, margin: float) -> float:
        """One-sided p-value of "it is slower by `margin` or more": small means that it is not."""
        return self._p(margin - self.mean)

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided interval that misses the truth with probability `level`."""
        half = float(stdtrit(self.degrees, 1 - level / 2)) * self.error
        return self.mean - half, self.mean + half

    def speed_up(self, units: int) -> SpeedUp:
        """The same as the speed of the candidate over that of the base, with its 95 % interval."""
        low, high = self.interval(LEVEL)
        return SpeedUp(ratio(-self.mean), ratio(-high), ratio(-low), units)

    def _p(self, distance: float) -> float:
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.degrees, -distance / self.error))


@dataclass(frozen=True)
class Obstacle:
    """What keeps a series from being judged; `more` blocks or runs may remove it, None: they will not."""

    reason: str
    more: int | None = None


@dataclass(frozen=True)
class Outcome:
    """One series x metric. What is not known is None.

    ratio: speed of the candidate over that of the base, with its 95 % interval; None for quality.
    slow_down: how much more of its cost the candidate takes, as a share; of quality the accuracy that it lost.
    threshold: the least of that which matters; None where it is not judged.
    units: valid blocks (pairs of them within one run) or days, of one run or more, on each side. `blocks`: the last
    block that it rests on, within one run.
    more: about how many more units would decide it, four times in five.
    assumed: in words, what nobody measured and the outcome rests on.
    """

    series: Series
    metric: Metric
    outcome: Word
    reason: str
    threshold: float | None
    base: str
    candidate: str
    ratio: SpeedUp | None = None
    slow_down: float | None = None
    unit: Unit = "block"
    base_units: int = 0
    candidate_units: int = 0
    blocks: int | None = None
    more: int | None = None
    assumed: str = ""


@dataclass(frozen=True)
class Comparison:
    """`base` and `candidate`: what was compared, for people. notes: what was not compared, and why, and what the
    outcomes rest on. differs: how the two differ, as far as they tell."""

    base: str
    candidate: str
    outcomes: Sequence[Outcome]
    notes: Sequence[str] = ()
    differs: Sequence[Difference] = ()

    def count(self, word: Word) -> int:
        return sum(outcome.outcome == word for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """1 when anything regressed; 4 when anything is open, or nothing was compared; else 0."""
        if self.count("regressed"):
            return GATE_FAILED
        return NOT_ENOUGH_EVIDENCE if self.count("not_enough_evidence") or not self.outcomes else 0


@dataclass(frozen=True)
class Test:
    """A slow-down that is to be judged against `margin` (a logarithm); no verdict where there is an obstacle."""

    __test__ = False  # no test of pytest

    shift: Shift | None
    margin: float
    obstacle: Obstacle | None = None

    @property
    def p_slower(self) -> float:
        return 1.0 if self.obstacle or self.shift is None else self.shift.p_slower()

    @property
    def p_below(self) -> float:
        return 1.0 if self.obstacle or self.shift is None else self.shift.p_below(self.margin)


@dataclass(frozen=True)
class Decision:
    """alarm: it is shown to be slower, by whatever little. held_to: two-sided level, after Holm, of that."""

    word: Word
    alarm: bool
    held_to: float


def decide(tests: Sequence[Test], level: float, family: int | None = None, closed: int = 0) -> list[Decision]:
    """Each test at a two-sided `level`. Alarms are corrected by Holm for all `family` of them (default: these alone),
    of which `closed` were settled before without an alarm, and the others with one. That a slow-down is below its
    threshold needs no correction: a gate passes only where all of them are."""
    size = len(tests) if family is None else family
    steps = holm([*(test.p_slower for test in tests), *[1.0] * closed], size, level / 2)
    found = []
    for test, (alarm, held_to) in zip(tests, steps, strict=False):  # the closed ones come after
        word: Word = "regressed" if alarm else "not_enough_evidence"
        found.append(Decision("not_regressed" if test.p_below <= level / 2 else word, alarm, 2 * held_to))
    return found


def cost(trial: TrialRecord, metric: Metric) -> float | None:
    """Logarithm of a trial's cost; None where it does not tell."""
    if metric == "quality":
        return None
    if metric == "energy":
        joules = energy_per_item_j(trial)
        return None if joules is None else math.log(joules)
    found = speed(trial, metric)
    return -math.log(found) if found else None


def to_json(outcome: Outcome) -> dict[str, Any]:
    """As `bench compare --json` prints it."""
    found, series = outcome.ratio, outcome.series
    return {
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "metric": outcome.metric,
        "device": series.device,
        "workload": series.workload,
        "scenario": series.scenario,
        "partition": series.partition,
        "optimization": series.optimization,
        "ratio": {"estimate": found.estimate, "low": found.low, "high": found.high} if found else None,
        "slow_down_share": outcome.slow_down,
        "threshold": outcome.threshold,
        "base": outcome.base,
        "candidate": outcome.candidate,
        "unit": outcome.unit,
        "base_units": outcome.base_units,
        "candidate_units": outcome.candidate_units,
        "more_units": outcome.more,
        "assumed": outcome.assumed or None,
    }
