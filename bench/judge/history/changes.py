"""When the level of a series shifted: change points of run means, on logarithms (docs/history.md). Pure.

PELT (Killick, Fearnhead and Eckley 2012) by `ruptures`: the segments whose squared distances from their means, with a
penalty for each segment more, are least. Before that the series is divided by its noise, and single odd runs are drawn
in to a few times that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]

FEWEST_RUNS = 8
"""A series of fewer has no shifts: its noise would be anybody's guess."""
FEWEST_IN_SEGMENT = 3
REACH = 5
"""A run is held against the median of itself and as many on either side; shifts move that median, odd runs do not."""
ODD = 3.0
"""What lies farther from that median than so many times the noise is drawn in to there."""
PENALTY, PENALTY_SHORT = 8.0, 10.0
"""A shift must explain PENALTY ln(n) (1 + PENALTY_SHORT / n) of standardised squares; chosen by simulation."""
LEAST_NOISE = 0.001
"""Noise below one per mille counts as that: shifts much finer than it are nobody's concern."""
LEVEL = 0.05
"""Of intervals: 95 %."""

MOST_PENDING = 9
SUSPICIOUS = 3.5
"""Standard errors by which the last runs must lie off before anybody is told of them."""
MOST_AWAITED = 20
MAD_OF_NORMAL = 1.4826


@dataclass(frozen=True)
class Shift:
    """`index`: the first run after it. `ratio`: level after over level before, with its 95 % interval (Welch's t over
    the runs of the two segments), which takes the place of the shift as known."""

    index: int
    ratio: float
    low: float
    high: float
    runs_before: int
    runs_after: int


@dataclass(frozen=True)
class Pending:
    """The last runs, from `index` on, lie off; `awaited` more runs like them would make it a shift."""

    index: int
    ratio: float
    runs: int
    awaited: int


@dataclass(frozen=True)
class Segment:
    """Runs from `start` up to, but not with, `end`; `level` is a logarithm."""

    start: int
    end: int
    level: float


@dataclass(frozen=True)
class Course:
    """How a series went. `noise`: standard deviation of one run about its level, as a share; None below two runs.
    `drift`: end of the whole series over its beginning, where a steady drift tells more than shifts would; there are
    no shifts then. `too_few`: fewer than FEWEST_RUNS."""

    noise: float | None
    segments: tuple[Segment, ...]
    shifts: tuple[Shift, ...] = ()
    pending: Pending | None = None
    drift: float | None = None
    too_few: bool = False


def course(logs: Sequence[float] | Array) -> Course:
    """Of the logarithms of a series' runs in their order; at least one, all finite."""
    values = np.asarray(logs, dtype=float)
    count = len(values)
    if count < FEWEST_RUNS:
        noise = _noise(values) if count > 1 else None
        return Course(noise, (Segment(0, count, float(values.mean())),), too_few=True)
    noise = _noise(values)
    kept = _drawn_in(values, noise)
    indexes = _shifts(kept, noise)
    if indexes and (slope := _drift(kept, noise, indexes)) is not None:
        return Course(noise, (), drift=math.exp(slope * (count - 1)))
    edges = [0, *indexes, count]
    segments = tuple(Segment(start, end, float(kept[start:end].mean())) for start, end in pairwise(edges))
    shifts = tuple(_shift(kept, before, after) for before, after in pairwise(segments))
    return Course(noise, segments, shifts, _pending(values, kept, noise, segments[-1]))


def _noise(values: Array) -> float:
    """From successive differences, which neither shifts nor a drift inflate. Where more than half of them are the same
    their median deviation is 0, and the root mean square of all but the largest tenth stands in for it."""
    steps = np.diff(values)
    spread = MAD_OF_NORMAL * float(np.median(np.abs(steps - np.median(steps))))
    if spread == 0:
        smaller = np.sort(np.abs(steps))[: max(1, int(0.9 * len(steps)))]
        spread = float(np.sqrt(np.mean(smaller**2)))
    return max(spread / math.sqrt(2), LEAST_NOISE)


def _drawn_in(values: Array, noise: float) -> Array:
    """Of an even number of neighbours both middle ones count as median: near an end a shift may lie between them."""
    around = [np.sort(values[max(0, at - REACH) : at + REACH + 1]) for at in range(len(values))]
    lower = np.array([near[(len(near) - 1) // 2] for near in around])
    upper = np.array([near[len(near) // 2] for near in around])
    return np.clip(values, lower - ODD * noise, upper + ODD * noise)


def _penalty(count: int) -> float:
    return PENALTY * math.log(count) * (1 + PENALTY_SHORT / count)


def _shifts(kept: Array, noise: float) -> list[int]:
    from ruptures.detection import KernelCPD  # it imports half a second of scipy

    # The linear kernel is the cost of squared distances; this class computes it in C.
    search = KernelCPD(kernel="linear", min_size=FEWEST_IN_SEGMENT).fit(((kept - kept.mean()) / noise)[:, None])
    return [int(end) for end in search.predict(pen=_penalty(len(kept)))[:-1]]


def _drift(kept: Array, noise: float, indexes: Sequence[int]) -> float | None:
    """Slope for each run, where one straight line explains the series at least as well as the shifts do, each of which
    costs as much as the line; otherwise None."""
    count, penalty = len(kept), _penalty(len(kept))
    segments = (kept[start:end] for start, end in pairwise([0, *indexes, count]))
    by_shifts = sum(float(np.sum((part - part.mean()) ** 2)) for part in segments) / noise**2 + penalty * len(indexes)
    times = np.arange(count) - (count - 1) / 2
    slope = float(times @ kept / (times @ times))
    by_line = float(np.sum((kept - kept.mean() - slope * times) ** 2)) / noise**2 + penalty
    return slope if by_line <= by_shifts else None


def _shift(kept: Array, before: Segment, after: Segment) -> Shift:
    old, new = kept[before.start : before.end], kept[after.start : after.end]
    mean = after.level - before.level
    old_part, new_part = old.var(ddof=1) / len(old), new.var(ddof=1) / len(new)
    error = math.sqrt(old_part + new_part)
    half = 0.0
    if error > 0:
        freedom = (old_part + new_part) ** 2 / (old_part**2 / (len(old) - 1) + new_part**2 / (len(new) - 1))
        half = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    return Shift(after.start, math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(old), len(new))


def _pending(values: Array, kept: Array, noise: float, last: Segment) -> Pending | None:
    """The last runs that lie off most clearly, if more of the same would make a shift."""
    best, most = None, SUSPICIOUS
    for runs in range(1, min(MOST_PENDING, last.end - last.start - FEWEST_IN_SEGMENT) + 1):
        start = last.end - runs
        level = float(kept[last.start : start].mean())
        off = float(values[start:].mean()) - level
        same_side = bool(np.all((values[start:] - level) * off > 0))
        error = noise * math.sqrt(1 / runs + 1 / (start - last.start))
        if same_side and abs(off) / error > most:
            best, most = (start, off), abs(off) / error
    if best is None:
        return None
    start, off = best
    level = float(values[start:].mean())
    for awaited in range(1, MOST_AWAITED + 1):
        longer = np.append(values, np.full(awaited, level))
        if any(abs(index - start) <= 1 for index in _shifts(_drawn_in(longer, noise), noise)):
            return Pending(start, math.exp(off), len(values) - start, awaited)
    return None
