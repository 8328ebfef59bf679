"""Where the level of a series may have shifted: the search, on logarithms (docs/history.md). Pure.

PELT (Killick, Fearnhead and Eckley 2012) by `ruptures`: the segments whose squared distances from their means, with a
penalty for each segment more, are least. It sees the series divided by its noise, with single odd runs drawn in. Where
a shift lies exactly is then read from the values as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

Array = npt.NDArray[np.float64]

FEWEST_IN_SEGMENT = 3
REACH = 5
"""A run is held against the median of itself and as many on either side; shifts move that median, odd runs do not."""
ODD = 3.0
"""What lies farther from that median, or its segment's, than so many times the noise is drawn in to there."""
NEARBY = 3
"""Runs by which a shift may be moved to where the values themselves put it: among drawn-in ones a large one may come
out late, and of the last few runs nearly always does."""
CAP = 4.0
"""Noises beyond which a run's distance from a level counts no more, where it is asked to which level it belongs."""
PENALTY, PENALTY_SHORT = 8.0, 10.0
"""A shift must explain PENALTY ln(n) (1 + PENALTY_SHORT / n) of standardised squares; chosen by simulation."""
LEAST_NOISE = 0.001
"""Noise below one per mille counts as that: shifts much finer than it are nobody's concern."""
MAD_OF_NORMAL = 1.4826
TRIMMED = 0.1
"""Share of differences between neighbours, and at least the two of one odd run, that shifts and odd runs may make."""

MOST_RECENT = 8
"""Last runs that are held against those before them; of more the search itself makes a shift."""
RECENT_LEVEL = 5e-5
"""Two-sided, of one such test, which is made anew every night; chosen by simulation of 500 nights in a row."""
FEWEST_BEFORE = 8
"""Runs of the segment that they are held against."""


def noise_of(values: Array) -> float:
    """Standard deviation of one run about its level, from differences between neighbours, which neither shifts nor a
    drift inflate much; two runs at least. Their median deviation, or their trimmed root mean square where that is more:
    where runs fall into two tight modes, most differences are those within a mode. Never more than the root mean square
    of all: where every other difference is one between the modes, the median deviation is twice the truth."""
    steps = np.diff(values)
    by_median = MAD_OF_NORMAL * float(np.median(np.abs(steps - np.median(steps))))
    kept = min(len(steps), max(1, len(steps) - max(2, math.ceil(TRIMMED * len(steps)))))
    smaller = np.sort(np.abs(steps))[:kept]
    by_squares = float(np.sqrt(np.mean(smaller**2))) / _of_trimmed_normal(kept / len(steps))
    by_all = float(np.sqrt(np.mean(steps**2)))
    return max(min(max(by_median, by_squares), by_all) / math.sqrt(2), LEAST_NOISE)


def settled(values: Array, noise: float) -> list[int]:
    """The first runs of new levels, in order, under a penalty by which a level that stays shows hardly any shift,
    whatever the noise."""
    count = len(values)
    penalty = PENALTY * math.log(count) * (1 + PENALTY_SHORT / count)
    return _placed(values, noise, pelt(drawn_in(values, noise), noise, penalty))


def new_levels(values: Array, noise: float) -> list[int]:
    """Those, and a recent one."""
    indexes = settled(values, noise)
    late = recent(values, indexes, noise)
    return [*indexes, late] if late else indexes


def pelt(kept: Array, noise: float, penalty: float) -> list[int]:
    """The first runs of new levels, as the search alone places them. `penalty`: of each, in units of squared noise."""
    from ruptures.detection import KernelCPD  # it imports half a second of scipy

    # The linear kernel is the cost of squared distances; this class computes it in C.
    search = KernelCPD(kernel="linear", min_size=FEWEST_IN_SEGMENT).fit(((kept - kept.mean()) / noise)[:, None])
    return [int(end) for end in search.predict(pen=penalty)[:-1]]


def drawn_in(values: Array, noise: float) -> Array:
    """Of an even number of neighbours both middle ones count as median: near an end a shift may lie between them."""
    count, width = len(values), 2 * REACH + 1
    lower, upper = np.empty(count), np.empty(count)
    if count >= width:
        middles = np.partition(np.lib.stride_tricks.sliding_window_view(values, width), REACH, axis=1)[:, REACH]
        lower[REACH : count - REACH] = upper[REACH : count - REACH] = middles
    for at in (*range(min(REACH, count)), *range(max(REACH, count - REACH), count)):
        near = np.sort(values[max(0, at - REACH) : at + REACH + 1])
        lower[at], upper[at] = near[(len(near) - 1) // 2], near[len(near) // 2]
    return np.clip(values, lower - ODD * noise, upper + ODD * noise)


def about_median(part: Array, noise: float) -> Array:
    """Runs of one level, odd ones drawn in."""
    middle = float(np.median(part))
    return np.clip(part, middle - ODD * noise, middle + ODD * noise)


def recent(values: Array, indexes: Sequence[int], noise: float) -> int | None:
    """The first of the last few runs, where these lie off from those of the last segment before them, too clearly for
    chance though not yet for the search; `indexes`: what that found."""
    edges = [0, *indexes, len(values)]
    parts = [about_median(values[start:end], noise) for start, end in pairwise(edges[:-1])]
    inside = sum(float(np.sum((part - part.mean()) ** 2)) for part in parts)
    freedom = sum(len(part) - 1 for part in parts)
    last = values[edges[-2] :]
    best, most = None, 1.0
    for runs in range(FEWEST_IN_SEGMENT, min(MOST_RECENT, len(last) - FEWEST_BEFORE) + 1):
        before, after = about_median(last[:-runs], noise), about_median(last[-runs:], noise)
        degrees = freedom + len(before) - 1
        spread = math.sqrt((inside + float(np.sum((before - before.mean()) ** 2))) / degrees)
        error = max(spread, noise) * math.sqrt(1 / len(before) + 1 / runs)
        shift = float(after.mean() - before.mean())
        off = abs(shift) / error / float(-stdtrit(degrees, RECENT_LEVEL / 2))
        there = np.count_nonzero((last[-runs:] - before.mean()) / shift > 0.5) if shift else 0
        if off > most and there >= FEWEST_IN_SEGMENT:
            best, most = len(values) - runs, off
    return None if best is None else _placed(values, noise, [*indexes, best])[-1]


def _placed(values: Array, noise: float, indexes: Sequence[int]) -> list[int]:
    """Each moved to where the levels beside it leave the least, of capped squares, so that an odd run has no say."""
    edges = [0, *indexes, len(values)]
    for number in range(1, len(edges) - 1):
        start, at, end = edges[number - 1 : number + 2]
        first = max(start + FEWEST_IN_SEGMENT, at - NEARBY)
        last = min(end - FEWEST_IN_SEGMENT, at + NEARBY)
        before, after = (
            np.minimum(np.abs(values[first:last] - about_median(part, noise).mean()) / noise, CAP) ** 2
            for part in (values[start:at], values[at:end])
        )
        left = np.append(0, np.cumsum(before)) + np.append(np.cumsum(after[::-1])[::-1], 0)
        edges[number] = first + int(np.argmin(left))
    return edges[1:-1]


def _of_trimmed_normal(share: float) -> float:
    """Root mean square of the `share` of standard normal values that are smallest."""
    edge = float(ndtri((1 + share) / 2))
    if not math.isfinite(edge):
        return 1.0
    return math.sqrt(1 - 2 * edge * math.exp(-(edge**2) / 2) / math.sqrt(2 * math.pi) / share)
