"""The part of the gate that looks at a GPU: throttled, clock moved, somebody else on it, lost, laid out anew.

As in gate.py, each check gives a reason in words or nothing, and what is not known (NaN) is not held against a trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import BOARD
from bench.measure.series import largest, median, series
from bench.measure.summary import Window

THROTTLED_LIMIT = 0.01
"""Share of the time that the GPU may be throttled, per cause."""
CLOCK_LIMIT = 0.05
"""Relative change of the median multiprocessor clock from the window's first quarter to its last."""
OFF_FIRST_LIMIT = 0.10
"""Relative distance of the window's median clock from that of the first valid trial of the same cell. Only of the same
one: what a clock settles at depends on the work. Wider than the drift of a healthy GPU that is not locked."""
FEWEST_TICKS = 4
"""With fewer ticks in the window, it has no quarters."""

POWER_CAPPED = "throttled_power_s"
COUNTERS = {
    "throttled_thermal_s": "temperature",
    "throttled_software_thermal_s": "temperature (by the driver)",
    "throttled_hardware_thermal_s": "temperature (by the hardware)",
    "throttled_power_brake_s": "the power brake",
    "throttled_board_limit_s": "the board's limit",
    "throttled_reliability_s": "the reliability limit",
    "throttled_sync_boost_s": "a slower GPU of its sync boost group",
}
"""Not among them: low utilisation, application clocks and base clocks, which the work or its owner chose; and the power
limit, at which many a healthy GPU works at full load: a gate on it would throw out just the optimizations that use the
GPU best. How long it was felt is recorded; `bench doctor` tells of a limit below the default."""
SLOWDOWNS = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown by the driver",
    0x40: "thermal slowdown by the hardware",
    0x80: "power brake",
}
"""Clocks event reasons (nvml.h) that are throttling whenever they are seen. The power cap (0x04) is not, as above."""


@dataclass(frozen=True)
class GpuEvidence:
    """What the gate looks at. throttled_shares: of the time from the first look to the last, by counter; event_reasons:
    all bits seen in the window; clock_change: relative, from its first quarter to its last. The others are of the whole
    trial, whose ticks are in its window or right next to it."""

    throttled_shares: Mapping[str, float]
    power_capped_share: float
    event_reasons: int
    clock_change: float
    clock_off_first: float
    foreign_processes: float
    lost: bool
    layout_changed: bool


def evidence(report: Mapping[str, Any], window: Window, first_clock_hz: float = math.nan) -> GpuEvidence:
    """From a trial's ticks; all of it unknown on a CPU. `first_clock_hz`: of the same cell earlier; NaN: none."""
    clocks_hz = series(report, BOARD, "sm_clock_hz").within(window)
    masks = series(report, BOARD, "event_reasons").within(window).values.astype(np.int64)
    return GpuEvidence(
        throttled_shares={counter: series(report, BOARD, counter).growth_per_s() for counter in COUNTERS},
        power_capped_share=series(report, BOARD, POWER_CAPPED).growth_per_s(),
        event_reasons=int(np.bitwise_or.reduce(masks)),
        clock_change=_clock_change(clocks_hz.values.tolist()),
        clock_off_first=median(clocks_hz) / first_clock_hz - 1 if first_clock_hz else math.nan,
        foreign_processes=largest(series(report, BOARD, "foreign_processes")),
        lost=largest(series(report, BOARD, "lost")) > 0,
        layout_changed=largest(series(report, BOARD, "layout_changed")) > 0,
    )


def reasons(e: GpuEvidence) -> list[str]:
    return [reason for check in CHECKS if (reason := check(e))]


def numbers(e: GpuEvidence) -> dict[str, float]:
    """Those behind the decision; NaN where they are not known."""
    shares = [share for share in e.throttled_shares.values() if not math.isnan(share)]
    return {
        "gpu_throttled_share": max(shares, default=math.nan),
        "gpu_power_capped_share": e.power_capped_share,
        "gpu_clock_change": e.clock_change,
        "gpu_clock_off_first": e.clock_off_first,
        "gpu_foreign_processes": e.foreign_processes,
    }


def _lost(e: GpuEvidence) -> str | None:
    return "the GPU was lost" if e.lost else None


def _layout(e: GpuEvidence) -> str | None:
    return "the GPU's MIG layout changed" if e.layout_changed else None


def _throttled(e: GpuEvidence) -> str | None:
    causes = [
        f"{COUNTERS[counter]} {share:.0%} of the time"
        for counter, share in e.throttled_shares.items()
        if share > THROTTLED_LIMIT
    ]
    causes += [name for bit, name in SLOWDOWNS.items() if e.event_reasons & bit]
    return f"the GPU was throttled: {', '.join(causes)}" if causes else None


def _clock_moved(e: GpuEvidence) -> str | None:
    if not abs(e.clock_change) > CLOCK_LIMIT:
        return None
    return f"the GPU's clock moved by {e.clock_change:+.0%} within the window"


def _clock_off(e: GpuEvidence) -> str | None:
    if not abs(e.clock_off_first) > OFF_FIRST_LIMIT:
        return None
    return f"the GPU's clock is {e.clock_off_first:+.0%} off that of the first valid trial of this cell"


def _foreign(e: GpuEvidence) -> str | None:
    if not e.foreign_processes > 0:
        return None
    several = "process" if e.foreign_processes == 1 else "processes"
    return f"{e.foreign_processes:.0f} other {several} on the GPU"


CHECKS = (_lost, _layout, _throttled, _clock_moved, _clock_off, _foreign)


def _clock_change(clocks_hz: list[float]) -> float:
    """NaN for too few ticks."""
    if len(clocks_hz) < FEWEST_TICKS:
        return math.nan
    quarter = len(clocks_hz) // 4
    first, last = np.median(clocks_hz[:quarter]), np.median(clocks_hz[-quarter:])
    return float(last / first - 1) if first else math.nan
