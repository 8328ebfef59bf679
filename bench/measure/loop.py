"""The recording loops: the one piece of Python that runs between requests.

A CPU's requests are rows of two numbers: when each began and ended. A GPU's are rows of four, because its clock and the
host's tell different things: the time that the GPU took, and the time that the host took to queue it. Ends never fall
from row to row, and all numbers are nanoseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

from bench.clock import now_ns
from bench.contract import Stream

HOST_COLUMNS = 2
"""start, end"""
GPU_COLUMNS = 4
"""start, end, how long the GPU took, how long queueing took"""
MAX_REQUESTS = 10_000_000
DEPTH = 4
"""Requests in a GPU's queue when they come back to back: the one that runs, and enough behind it to hide a host that is
late once in a while."""

Calls = Sequence[Callable[[], Any]]


def samples_for(duration_ns: int, request_ns: float, columns: int) -> array[int]:
    """Room for `duration_ns` of requests, four times what is expected, allocated and touched now."""
    expected = int(4 * duration_ns / max(request_ns, 100.0)) + 1_000
    return array("q", bytes(8 * columns * min(expected, MAX_REQUESTS)))


def record(calls: Calls, samples: array[int], end_ns: int) -> int:
    """Call in turn until `end_ns`, at least once; returns how many requests were recorded. Calls return when finished.

    Two readings of the clock keep the loop's own time, a sixth of a microsecond, out of the latencies; it lies between
    requests (`tests/benchmarks` keeps the bill).
    """
    slot = 0
    for call in islice(cycle(calls), len(samples) // HOST_COLUMNS):
        start = now_ns()
        call()
        end = now_ns()
        samples[slot] = start
        samples[slot + 1] = end
        slot += HOST_COLUMNS
        if end >= end_ns:
            break
    return slot // HOST_COLUMNS


def record_each(calls: Calls, stream: Stream, samples: array[int], end_ns: int, cold: bool) -> int:
    """The same on a GPU, one request at a time: each is waited for. Its time is that between two events around it, on
    the GPU's clock: what the host needs to notice the end is not in it, gaps in which the GPU waited for the host are.
    """
    begin, finish = stream.event(), stream.event()
    slot = 0
    for call in islice(cycle(calls), len(samples) // GPU_COLUMNS):
        if cold:
            stream.flush_l2()
            stream.wait()
        start = now_ns()
        begin.record()
        call()
        queued = now_ns()
        finish.record()
        finish.synchronize()
        end = now_ns()
        samples[slot] = start
        samples[slot + 1] = end
        samples[slot + 2] = round(begin.elapsed_time(finish) * 1e6)
        samples[slot + 3] = queued - start
        slot += GPU_COLUMNS
        if end >= end_ns:
            break
    return slot // GPU_COLUMNS


def record_back_to_back(calls: Calls, stream: Stream, samples: array[int], end_ns: int, queueing_ns: int) -> int:
    """The same on a GPU, `DEPTH` requests queued at any time, so that it never waits for the host, if the host is fast
    enough. A request takes from the end of the one before it to its own: together they are the wall clock.
    `queueing_ns`: what queueing one takes the host, measured before."""
    ends = [stream.event() for _ in range(DEPTH)]
    room = len(samples) // GPU_COLUMNS
    recorded = 0
    last = now_ns()
    for queued, call in enumerate(cycle(calls)):
        if queued - recorded == DEPTH:
            ends[recorded % DEPTH].synchronize()
            end = now_ns()
            slot = GPU_COLUMNS * recorded
            samples[slot] = last
            samples[slot + 1] = end
            samples[slot + 2] = end - last
            samples[slot + 3] = queueing_ns
            last = end
            recorded += 1
            if end >= end_ns or recorded == room:
                break
        call()
        ends[queued % DEPTH].record()
    stream.wait()
    return recorded
