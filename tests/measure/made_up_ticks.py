"""Telemetry reports for tests: ticks every 100 ms around a window of two seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.measure.summary import Window

STEP_NS = 100_000_000
WINDOW = Window(start_ns=2 * STEP_NS + 50_000_000, end_ns=22 * STEP_NS + 50_000_000, latencies_ns=(), spans_ns=())
"""From 0.25 s to 2.25 s, of ticks from 0 to 2.4 s: none falls on its edges."""
T_S = [tick / 10 for tick in range(25)]

Column = Sequence[float | None] | Callable[[float], float | None] | float


def report(**columns: Column) -> dict[str, Any]:
    """Columns by "subject__metric": values, a function of the time in seconds, or the same value in each tick."""
    return {
        "t_ns": [tick * STEP_NS for tick in range(25)],
        "columns": [
            {"subject": name.split("__")[0], "metric": name.split("__")[1], "values": _values(column)}
            for name, column in columns.items()
        ],
    }


def once(value: float) -> list[float | None]:
    """Told in the first tick only."""
    return [value, *[None] * 24]


def _values(column: Column) -> list[float | None]:
    if callable(column):
        return [column(t_s) for t_s in T_S]
    if isinstance(column, (int, float)):
        return [column] * 25
    return list(column)


def window(start_s: float, end_s: float) -> Window:
    return Window(int(start_s * 1e9), int(end_s * 1e9), (np.array([], dtype=np.int64),), (0,))
