"""How fast is a call, measured in a builder to choose among engines; what is reported is measured by tenants, anew."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from bench import clock
from bench.contract import Stream

WARM_S = 0.5
"""Long enough for clocks to rise and for TensorRT to do what it does once."""
TIMED_S = 1.0
CALLS_PER_ROUND = 10
"""Queued between two events, so that the host's part of a call is hidden as in back-to-back requests."""


def call_ms(call: Callable[[], Any], stream: Stream) -> float:
    """Milliseconds per call on the GPU's own clock, median of rounds."""
    for _ in _rounds(WARM_S):
        call()
        stream.wait()
    times_ms = []
    for _ in _rounds(TIMED_S):
        begin, end = stream.event(), stream.event()
        begin.record()
        for _ in range(CALLS_PER_ROUND):
            call()
        end.record()
        end.synchronize()
        times_ms.append(begin.elapsed_time(end) / CALLS_PER_ROUND)
    return median(times_ms)


def _rounds(duration_s: float) -> Any:
    """At least one, and as many as begin in `duration_s`."""
    end_ns = clock.now_ns() + int(duration_s * clock.NS_PER_S)
    yield
    while clock.now_ns() < end_ns:
        yield
