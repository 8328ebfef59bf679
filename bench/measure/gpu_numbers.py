"""What a trial's line says of the GPU: a number for each column of the board. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.contract import BOARD
from bench.measure import energy
from bench.measure.series import Series, largest, median, series
from bench.measure.summary import Window

CLOCK = "gpu_sm_clock_hz"
Summary = Callable[[Series], float]
IN_THE_WINDOW: dict[str, tuple[str, Summary]] = {
    "power_average_w": ("gpu_power_average_w", median),
    "power_instant_w": ("gpu_power_instant_w", median),
    "sm_clock_hz": (CLOCK, median),
    "utilization_share": ("gpu_utilization_share", median),
}
IN_THE_TRIAL: dict[str, tuple[str, Summary]] = {
    "power_w": ("gpu_power_w", median),
    "memory_clock_hz": ("gpu_memory_clock_hz", median),
    "temperature_c": ("gpu_temperature_max_c", largest),
    "memory_temperature_c": ("gpu_memory_temperature_max_c", largest),
    "memory_used_bytes": ("gpu_memory_peak_bytes", largest),
}
"""Read so rarely that a short window may have none; all ticks of a trial are in its window or next to it."""


def numbers(
    report: Mapping[str, Any], window: Window, throughput_per_s: Sequence[float], gpu_instances: Sequence[int | None]
) -> dict[str, float]:
    """NaN or absent where it is not known; {} on a CPU. nvml_slowest_call_s: median time of the slowest NVML call."""
    columns = report.get("columns", ())
    if not any(found["subject"] == BOARD for found in columns):
        return {}
    inside = {
        name: summary(series(report, BOARD, metric).within(window)) for metric, (name, summary) in IN_THE_WINDOW.items()
    }
    beside = {name: summary(series(report, BOARD, metric)) for metric, (name, summary) in IN_THE_TRIAL.items()}
    calls = [median(series(report, "nvml", found["metric"])) for found in columns if found["subject"] == "nvml"]
    slowest = {"nvml_slowest_call_s": max(calls, default=math.nan)}
    return inside | beside | slowest | energy.numbers(report, window, throughput_per_s, gpu_instances)
