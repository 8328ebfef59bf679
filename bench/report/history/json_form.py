"""A history as plain values: a list of series."""

from __future__ import annotations

import math
from typing import Any

from bench.judge.history.changes import Pending
from bench.judge.history.history import Change, History, Point, Trend
from bench.report.history.words import UNITS, direction


def to_json(history: History) -> list[dict[str, Any]]:
    """Each series with its points, in their order, and its changes. Times are in UTC."""
    return [_series(series) for series in history.series]


def _series(series: Trend) -> dict[str, Any]:
    key, course = series.key, series.course
    return {
        "device": key.device,
        "workload": key.workload,
        "scenario": key.scenario,
        "partition": key.partition,
        "optimization": key.optimization,
        "metric": key.metric,
        "unit": UNITS[key.metric],
        "noise": course.noise,
        "too_few": course.too_few,
        "drift": course.drift,
        "points": [_point(point) for point in series.points],
        "levels": [
            {"from": series.points[one.start].night.name, "runs": one.end - one.start, "level": math.exp(one.level)}
            for one in course.segments
        ],
        "changes": [_change(series, change) for change in series.changes],
        "possible": None if series.pending is None else _change(series, series.pending),
        "runs_without": list(series.without),
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "run": point.night.name,
        "when": point.night.when.isoformat(),
        "value": point.value,
        "low": point.low,
        "high": point.high,
        "valid_blocks": point.valid,
        "planned_blocks": point.planned,
    }


def _change(series: Trend, change: Change) -> dict[str, Any]:
    shift = change.shift
    found: dict[str, Any] = {
        "run_before": change.before.name,
        "run": change.first.name,
        "when": change.first.when.isoformat(),
        "ratio": shift.ratio,
        "better": change.better,
        "direction": direction(series.key.metric, change),
    }
    if isinstance(shift, Pending):
        found |= {"runs": shift.runs, "more_runs_needed": shift.awaited}
    else:
        found |= {
            "low": shift.low,
            "high": shift.high,
            "runs_before": shift.runs_before,
            "runs_after": shift.runs_after,
            "recent": shift.recent,
        }
    coincides = change.coincides
    return found | {
        "coincides_with": [
            {"name": one.name, "before": one.before, "after": one.after} for one in coincides.differences
        ],
        "coincides_runs_later": coincides.offset,
        "recorded": coincides.recorded,
    }
