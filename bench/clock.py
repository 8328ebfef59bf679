"""The only place that reads a clock.

`now_ns` is monotonic and, on Linux, the same clock in every process of the machine (CLOCK_MONOTONIC), so tenants,
telemetry and conductor speak of the same instants.
"""

from __future__ import annotations

import datetime
import time

now_ns = time.perf_counter_ns
"""Nanoseconds of a monotonic clock that all processes of this machine share."""

cpu_ns = time.process_time_ns
"""Nanoseconds of CPU time that this process has used, all threads."""

NS_PER_S = 1_000_000_000


def seconds(duration_ns: int) -> float:
    return duration_ns / NS_PER_S


def sleep_until(instant_ns: int) -> None:
    """Sleep, then spin for the last 100 microseconds, so that tenants start at the same instant."""
    while (left_ns := instant_ns - now_ns()) > 0:
        if left_ns > 200_000:
            time.sleep((left_ns - 100_000) / NS_PER_S)


def utc_now() -> str:
    """Wall-clock time for people, ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def file_stamp() -> str:
    """Local wall-clock time as a name for folders, sortable."""
    return datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
