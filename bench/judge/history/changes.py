"""When the level of a series shifted: how it went, told with sizes and what is not sure yet (docs/history.md). Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from bench.judge.history.search import (
    FEWEST_IN_SEGMENT,
    Array,
    about_median,
    drawn_in,
    new_levels,
    noise_of,
    pelt,
    recent,
    settled,
)

FEWEST_RUNS = 8
"""A series of fewer has no shifts: its noise would be anybody's guess."""
LEVEL = 0.05
"""Of intervals: 95 %."""
FINER, STEP = 4.0, 2.0
"""Where it is asked whether a movement is a drift or steps: ln(n) for each step that is looked for, and for each that
is charged, one for its place and one for its size."""

MOST_PENDING = 9
SUSPICIOUS = 3.5
"""Standard errors by which the last runs must lie off before anybody is told of them."""
MOST_AWAITED = 20


@dataclass(frozen=True)
class Shift:
    """`index`: the first run after it. `ratio`: level after over level before, with its 95 % interval (Welch's t over
    the runs of the two segments), which takes the place of the shift as known. `recent`: it rests on the last few runs
    alone, and later ones may withdraw it."""

    index: int
    ratio: float
    low: float
    high: float
    runs_before: int
    runs_after: int
    recent: bool = False


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
    noise = noise_of(values) if count > 1 else None
    if noise is None or count < FEWEST_RUNS:
        return Course(noise, (Segment(0, count, float(values.mean())),), too_few=True)
    indexes = settled(values, noise)
    if indexes and (slope := _drift(drawn_in(values, noise), noise)) is not None:
        return Course(noise, (), drift=math.exp(slope * (count - 1)))
    late = recent(values, indexes, noise)
    edges = [0, *indexes, *([late] if late else []), count]
    parts = [about_median(values[start:end], noise) for start, end in pairwise(edges)]
    segments = tuple(
        Segment(start, end, float(part.mean())) for (start, end), part in zip(pairwise(edges), parts, strict=True)
    )
    found = tuple(
        _shift(index, before, after, index == late)
        for index, (before, after) in zip(edges[1:-1], pairwise(parts), strict=True)
    )
    return Course(noise, segments, found, _pending(values, noise, segments[-1]))


def _drift(kept: Array, noise: float) -> float | None:
    """Slope for each run, where one straight line explains the series better than steps do; otherwise None. A line is
    charged like one step. What the search charges guards against chance, which is no question between two explanations
    of a movement that is sure, and would hide stairs of small steps; so the steps here are searched for anew."""
    count = len(kept)
    charge = STEP * math.log(count)
    indexes = pelt(kept, noise, FINER * math.log(count))
    parts = (kept[start:end] for start, end in pairwise([0, *indexes, count]))
    by_shifts = sum(float(np.sum((part - part.mean()) ** 2)) for part in parts) / noise**2 + charge * len(indexes)
    times = np.arange(count) - (count - 1) / 2
    slope = float(times @ kept / (times @ times))
    by_line = float(np.sum((kept - kept.mean() - slope * times) ** 2)) / noise**2 + charge
    return slope if by_line <= by_shifts else None


def _shift(index: int, old: Array, new: Array, recent: bool) -> Shift:
    mean = float(new.mean() - old.mean())
    old_part, new_part = old.var(ddof=1) / len(old), new.var(ddof=1) / len(new)
    error = math.sqrt(old_part + new_part)
    half = 0.0
    if error > 0:
        freedom = (old_part + new_part) ** 2 / (old_part**2 / (len(old) - 1) + new_part**2 / (len(new) - 1))
        half = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    return Shift(index, math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(old), len(new), recent)


def _pending(values: Array, noise: float, last: Segment) -> Pending | None:
    """The last runs that lie off most clearly, if more of the same would make a shift."""
    best, most = None, SUSPICIOUS
    for runs in range(1, min(MOST_PENDING, last.end - last.start - FEWEST_IN_SEGMENT) + 1):
        start = last.end - runs
        level = float(about_median(values[last.start : start], noise).mean())
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
        if any(abs(index - start) <= 1 for index in new_levels(longer, noise)):
            return Pending(start, math.exp(off), len(values) - start, awaited)
    return None
