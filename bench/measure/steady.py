"""When is a sequence of durations steady?

Durations are cut into chunks and each chunk is reduced to its median. The last `HALF` chunk medians are compared with
the `HALF` before them; steady means that they differ by no more than the tolerance, or than three standard errors.
The noise is taken from successive differences (von Neumann): unlike the spread about a mean it does not grow with the
very trend that is to be found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from statistics import median
from typing import Any

from bench.clock import now_ns, seconds

HALF = 5
CHUNK_NS = 20_000_000
WARMUP_TOLERANCE = 0.02
STANDARD_ERRORS = 3.0
NORMAL_DIFFERENCE = 0.9539
"""Median absolute difference of two standard normal values: sqrt(2) x 0.6745."""


@dataclass(frozen=True)
class WarmUp:
    """`request_ns` is the median request at the end of it."""

    steady: bool
    seconds: float
    requests: int
    request_ns: float
    drift: float


def drift(medians: Sequence[float]) -> tuple[float, float]:
    """(relative change from the first half to the second, its relative standard error), of an even number."""
    half = len(medians) // 2
    first, second = median(medians[:half]), median(medians[-half:])
    noise = median(abs(b - a) for a, b in pairwise(medians)) / NORMAL_DIFFERENCE
    # The variance of a median of n normal values is pi/2 of that of their mean.
    error = noise * math.sqrt(2 / half * math.pi / 2)
    return (second - first) / first, error / first


def is_steady(medians: Sequence[float], tolerance: float) -> bool:
    change, error = drift(medians)
    return abs(change) <= max(tolerance, STANDARD_ERRORS * error)


def warm_up(calls: Sequence[Callable[[], Any]], min_s: float, limit_s: float) -> WarmUp:
    """Call in turn until steady, for at least `min_s` and at most about `limit_s` seconds."""
    start_ns = now_ns()
    medians: list[float] = []
    requests = 0
    endless = cycle(calls)
    while True:
        chunk: list[int] = []
        chunk_start_ns = last_ns = now_ns()
        while last_ns - chunk_start_ns < CHUNK_NS:
            next(endless)()
            now = now_ns()
            chunk.append(now - last_ns)
            last_ns = now
        requests += len(chunk)
        medians.append(median(chunk))
        elapsed_s = seconds(last_ns - start_ns)
        recent = medians[-2 * HALF :]
        enough = len(recent) == 2 * HALF
        steady = enough and is_steady(recent, WARMUP_TOLERANCE)
        if (steady and elapsed_s >= min_s) or elapsed_s >= limit_s:
            change = drift(recent)[0] if enough else math.nan
            return WarmUp(steady, elapsed_s, requests, median(medians[-HALF:]), change)


def window_medians(durations: Sequence[int]) -> list[float]:
    """A window's durations as 2 x HALF chunk medians; empty when there are too few requests to say."""
    size = len(durations) // (2 * HALF)
    if size < 1:
        return []
    return [median(durations[index * size : (index + 1) * size]) for index in range(2 * HALF)]
