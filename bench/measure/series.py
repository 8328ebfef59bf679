"""One telemetry column with its times, and what it says about the measured window. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.summary import Window


@dataclass(frozen=True)
class Series:
    """Values at the ticks that had one."""

    t_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def within(self, window: Window) -> Series:
        inside = (self.t_ns >= window.start_ns) & (self.t_ns <= window.end_ns)
        return Series(self.t_ns[inside], self.values[inside])

    def increase(self, window: Window) -> float:
        """How much a running total grew in the window, interpolated at its edges; NaN unless ticks enclose it."""
        if not self._encloses(window):
            return math.nan
        first, last = np.interp([window.start_ns, window.end_ns], self.t_ns, self.values)
        return float(last - first)

    def growth_per_s(self) -> float:
        """Of a running total, from the first reading to the last; NaN for fewer than two."""
        if len(self.t_ns) < 2:
            return math.nan
        return float((self.values[-1] - self.values[0]) / (self.t_ns[-1] - self.t_ns[0]) * 1e9)

    def integral(self, window: Window) -> float:
        """Of a rate per second over the window, interpolated; NaN unless ticks enclose it."""
        if not self._encloses(window):
            return math.nan
        inside = self.within(window)
        t_ns = np.concatenate([[window.start_ns], inside.t_ns, [window.end_ns]])
        values = np.interp(t_ns, self.t_ns, self.values)
        return float(np.trapezoid(values, t_ns / 1e9))

    def _encloses(self, window: Window) -> bool:
        return len(self.t_ns) > 1 and self.t_ns[0] <= window.start_ns and self.t_ns[-1] >= window.end_ns


def series(report: Mapping[str, Any], subject: str, metric: str) -> Series:
    """The column, empty where it is absent."""
    for found in report["columns"] if report else ():
        if found["subject"] == subject and found["metric"] == metric:
            told = [(t, v) for t, v in zip(report["t_ns"], found["values"], strict=True) if v is not None]
            return Series(np.array([t for t, _ in told], dtype=np.int64), np.array([v for _, v in told], dtype=float))
    return Series(np.empty(0, dtype=np.int64), np.empty(0))


def median(found: Series) -> float:
    """NaN for none."""
    return float(np.median(found.values)) if len(found.values) else math.nan


def largest(found: Series) -> float:
    """NaN for none."""
    return float(found.values.max()) if len(found.values) else math.nan
