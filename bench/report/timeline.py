"""The telemetry of one trial as lines over time: running totals as rates, everything else as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.records import TrialRecord
from bench.stored import SetAside, StoredRun
from bench.stored_tables import read_samples, read_telemetry

TOTALS = {"_s": "_cores", "_j": "_w", "_switches": "_switches_per_s"}
"""Running totals by the end of their name: what their rate is called. CPU seconds per second are cores, joules per
second are watts."""
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Timeline:
    """`series` by "subject metric": (seconds since the first tick, value); `window_s` is when all tenants measured."""

    series: Mapping[str, Points]
    window_s: tuple[float, float] | None


def timeline(run: StoredRun, trial: TrialRecord) -> Timeline | SetAside:
    """From the files of one trial; set aside when its telemetry cannot be read."""
    readings = read_telemetry(run, trial)
    if isinstance(readings, SetAside):
        return readings
    if not readings:
        return Timeline({}, None)
    zero_ns = min(float(ticks[0, 0]) for ticks in readings.values())
    series = {}
    for (subject, metric), ticks in sorted(readings.items()):
        seconds = (ticks[:, 0] - zero_ns) / 1e9
        values, name = ticks[:, 1], metric
        for ending, rate in TOTALS.items():
            if metric.endswith(ending) and len(ticks) > 1:
                values = np.diff(values) / np.maximum(np.diff(seconds), 1e-9)
                seconds, name = seconds[1:], metric.removesuffix(ending) + rate
                break
        series[f"{subject} {name}"] = tuple(zip(seconds.tolist(), values.tolist(), strict=True))
    return Timeline(series, _window(run, trial, zero_ns))


def _window(run: StoredRun, trial: TrialRecord, zero_ns: float) -> tuple[float, float] | None:
    samples = read_samples(run, trial)
    if isinstance(samples, SetAside):
        return None
    return (samples.start_ns - zero_ns) / 1e9, (samples.end_ns - zero_ns) / 1e9
