"""The recording loop: the one piece of Python that runs between requests."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

from bench.clock import now_ns

BYTES_PER_REQUEST = 16
MAX_REQUESTS = 10_000_000


def stamps_for(duration_ns: int, request_ns: float) -> array[int]:
    """Room for the stamps of `duration_ns` of requests, four times what is expected, allocated and touched now."""
    expected = int(4 * duration_ns / max(request_ns, 100.0)) + 1_000
    return array("q", bytes(BYTES_PER_REQUEST * min(expected, MAX_REQUESTS)))


def record(calls: Sequence[Callable[[], Any]], stamps: array[int], end_ns: int) -> int:
    """Call in turn until `end_ns`, at least once; returns how many requests were recorded.

    stamps[2i] is the start of request i and stamps[2i + 1] its end. Two readings of the clock keep the loop's own
    time, a sixth of a microsecond, out of the latencies; it lies between requests (`tests/benchmarks` keeps the bill).
    """
    slot = 0
    for call in islice(cycle(calls), len(stamps) // 2):
        start = now_ns()
        call()
        end = now_ns()
        stamps[slot] = start
        stamps[slot + 1] = end
        slot += 2
        if end >= end_ns:
            break
    return slot // 2
