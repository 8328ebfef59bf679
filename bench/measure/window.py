"""The window of one process: how long it lasts, what is recorded in it, and what the process used meanwhile."""

from __future__ import annotations

import gc
import resource
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import clock, wire
from bench.contract import Protocol
from bench.measure.bound import BoundRequests

MARGIN = 1.15
"""More requests are planned for than are needed, because some take longer than those that the plan was made by."""


def planned_ns(protocol: Protocol, slowest_ns: float) -> int:
    """How long a window lasts: until a request that takes as long as the slowest may have been answered `min_requests`
    times (two more are cut by its edges, and some will take longer), up to its limit. Nanoseconds."""
    wanted_s = max(protocol.window_s, (MARGIN * protocol.min_requests + 2) * slowest_ns / clock.NS_PER_S)
    return int(min(wanted_s, protocol.window_limit_s) * clock.NS_PER_S)


@contextmanager
def no_collection() -> Iterator[None]:
    """Garbage is collected before; inside the window it would be a pause that the model did not cause."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def recorded(bound: BoundRequests, samples: array[int], start_ns: int, end_ns: int) -> dict[str, Any]:
    """Issue requests from `start_ns` to `end_ns`; what a tenant says of its window."""
    clock.sleep_until(start_ns)
    before, delays_ns = _usage(), _run_delays_ns()
    count = bound.record(samples, end_ns)
    after, later_delays_ns = _usage(), _run_delays_ns()
    return {
        "samples": wire.pack_integers(samples, bound.columns * count),
        "columns": bound.columns,
        "issued": bound.detail(),
        "usage": {name: after[name] - before[name] for name in before},
        "run_delay_s": _longest_delay_s(delays_ns, later_delays_ns),
        "peak_rss_bytes": peak_rss_bytes(),
    }


def peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _usage() -> dict[str, float]:
    """What this process has used so far; all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_s": clock.seconds(clock.now_ns()),
        "cpu_s": used.ru_utime + used.ru_stime,
        "involuntary_switches": float(used.ru_nivcsw),
        "major_faults": float(used.ru_majflt),
    }


def _run_delays_ns() -> dict[str, int]:
    """How long each thread has been runnable without a core so far; empty where the system does not tell.

    Linux: the second field of a thread's schedstat.
    """
    delays_ns = {}
    with suppress(OSError, IndexError, ValueError):
        for thread in Path("/proc/self/task").iterdir():
            delays_ns[thread.name] = int((thread / "schedstat").read_text().split()[1])
    return delays_ns


def _longest_delay_s(before_ns: dict[str, int], after_ns: dict[str, int]) -> float:
    """Of the threads that ran before and after; NaN: not known."""
    waited_ns = [after_ns[thread] - before_ns[thread] for thread in before_ns.keys() & after_ns.keys()]
    return clock.seconds(max(waited_ns)) if waited_ns else float("nan")
