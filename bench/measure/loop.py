"""The recording loop: the one piece of Python that runs between requests."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

from bench.clock import now_ns

STAMP_BYTES = 8
MAX_STAMPS = 20_000_000


def stamps_for(duration_ns: int, request_ns: float) -> array[int]:
    """Room for the stamps of `duration_ns` of requests, four times what is expected, allocated and touched now."""
    expected = int(4 * duration_ns / max(request_ns, 100.0)) + 1_000
    return array("q", bytes(STAMP_BYTES * min(expected, MAX_STAMPS)))


def record(calls: Sequence[Callable[[], Any]], stamps: array[int], end_ns: int) -> int:
    """Call in turn until `end_ns`; returns how many stamps were written (requests + 1).

    stamps[0] is the start and stamps[i] the end of request i, so a request's latency is the difference of two
    neighbours: one reading of the clock per request, and the latencies add up to the window. What a request's latency
    includes beyond the call is one clock reading, one store and one comparison (`tests/benchmarks` keeps the bill).
    """
    count = 1
    stamps[0] = now = now_ns()
    if now >= end_ns:
        return count
    for call in islice(cycle(calls), len(stamps) - 1):
        call()
        stamps[count] = now = now_ns()
        count += 1
        if now >= end_ns:
            break
    return count
