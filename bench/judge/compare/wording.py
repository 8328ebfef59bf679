"""Why a comparison came out as it did, in words for the person who has to act on it."""

from __future__ import annotations

from bench.judge.compare.comparison import Decision, Metric, Shift, Unit
from bench.judge.speedup import LEVEL
from bench.judge.statistics import MOST_PAIRS, pairs_needed, ratio

WORSE: dict[Metric, tuple[str, str]] = {
    "throughput": ("slower", "faster"),
    "start_up": ("slower to start", "faster to start"),
    "p99": ("longer p99", "shorter p99"),
    "energy": ("more energy for each item", "less energy for each item"),
    "quality": ("of accuracy lost", "of accuracy gained"),
}
"""How a metric is said to be worse, and better."""
WILD = 5.0
"""A logarithm beyond which a slow-down is no number any more: a factor of 150."""


def share(logarithm: float) -> float:
    """A logarithm of a ratio as how much more that is."""
    return ratio(logarithm) - 1


def percent(part: float) -> str:
    """A share with the digits that its size needs."""
    digits = 2 if abs(part) < 0.01 else 3
    return f"{100 * part:.{digits}g} %" if abs(part) < 10 else f"{100 * part:.0f} %"


def slower(shift: Shift, metric: Metric) -> str:
    """The estimate with its 95 % interval, e.g. "5.1 % slower [4.2 %, 6 %]"."""
    worse, better = WORSE[metric]
    low, high = shift.interval(LEVEL)
    if shift.mean < 0:  # said of speeds: what takes 5 % less time is 5.3 % faster
        return f"{percent(share(-shift.mean))} {better} [{_end(-high)}, {_end(-low)}]"
    return f"{percent(share(shift.mean))} {worse} [{_end(low)}, {_end(high)}]"


def decided(decision: Decision, shift: Shift, threshold: float, metric: Metric) -> str:
    """What carries an outcome that was drawn."""
    worse, _ = WORSE[metric]
    _, high = shift.interval(LEVEL)
    if decision.word == "regressed":
        return f"{slower(shift, metric)}; from {percent(threshold)} on it matters"
    if decision.alarm:
        return f"{slower(shift, metric)}, below the threshold of {percent(threshold)}"
    if high < 0:
        return slower(shift, metric)
    return f"not {percent(threshold)} {worse}: at most {percent(share(max(high, 0.0)))}"


def undecided(shift: Shift, level: float, threshold: float, metric: Metric, needs: str) -> str:
    """What keeps it open: the slow-downs that are still possible, at the two-sided level at which it was tried."""
    low, high = (_end_in_words(end, metric) for end in shift.interval(level))
    return f"anything from {low} to {high} is possible; {percent(threshold)} matters{needs}"


def needs(more: int, unit: Unit, each_side: bool = False) -> str:
    """How much more would decide."""
    if more >= MOST_PAIRS:
        return f"; at this spread no number of {unit}s that anybody measures decides it"
    many = f"{more} more {unit if more == 1 else unit + 's'}"
    return f"; at this spread about {many}{' on each side' if each_side else ''} would decide it"


def more_pairs(mean: float, sd: float, units: int, margin: float, decision: Decision, level: float) -> int:
    """How many more pairs (`units` there are) would probably show that it is slower, or that it is less than `margin`
    slower, whichever comes first."""
    alarm = pairs_needed(sd, mean, decision.held_to)
    below = pairs_needed(sd, margin - mean, level)
    least = min(alarm, below)
    return least if least >= MOST_PAIRS else max(1, least - units)


def _end(logarithm: float) -> str:
    """An end of an interval; of few blocks it can be anywhere."""
    if abs(logarithm) > WILD:
        return f"less than -{percent(share(WILD))}" if logarithm < 0 else f"more than {percent(share(WILD))}"
    return percent(share(logarithm))


def _end_in_words(logarithm: float, metric: Metric) -> str:
    worse, better = WORSE[metric]
    return f"{_end(-logarithm)} {better}" if logarithm < 0 else f"{_end(logarithm)} {worse}"
