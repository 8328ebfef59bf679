"""The telemetry of single trials: small lines over time, the window shaded, the gate's reasons as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from bench.records import TrialRecord
from bench.report.data import RunReport
from bench.report.sections.trials import STATUS
from bench.report.svg import Scale, tag, tick_text
from bench.report.timeline import Points, Timeline

WIDTH, HEIGHT = 240, 52
PRINTED = 20
"""Spoiled trials whose telemetry is printed although nobody unfolded it."""
MOST_POINTS = 60
"""More than these cannot be seen at this width; of what is left out, the extremes stay."""


@dataclass(frozen=True)
class Series:
    """One metric: its range as text, and its line."""

    name: str
    spread: str
    picture: Markup


@dataclass(frozen=True)
class Shown:
    """One trial with everything that its details hold."""

    trial: TrialRecord
    status: str
    printed: bool
    reasons: Sequence[str]
    facts: Sequence[tuple[str, str]]
    window: str
    series: Sequence[Series]


def shown(run: RunReport) -> list[Shown]:
    """The trials whose telemetry was read, those that are not valid first."""
    by_id = {trial.id: trial for trial in run.run.trials}
    return [
        _shown(by_id[ident], timeline, number < PRINTED and by_id[ident].status != "ok")
        for number, (ident, timeline) in enumerate(run.timelines.items())
    ]


def _shown(trial: TrialRecord, timeline: Timeline, printed: bool) -> Shown:
    gate = trial.gate
    reasons = gate.reasons if gate and gate.reasons else (trial.reason,) if trial.reason else ()
    window = timeline.window_s
    times_s = [time_s for points in timeline.series.values() for time_s, _ in points]
    x = Scale.over([*times_s, *(window or ())], 0, WIDTH, margin=0.0)  # one for all: what happened together stands so
    return Shown(
        trial,
        STATUS[trial.status],
        printed,
        reasons,
        [(str(name).replace("_", " "), _plain(value)) for name, value in (gate.checks if gate else {}).items()],
        f"window from {window[0]:.2f} to {window[1]:.2f} s" if window else "window unknown",
        [_series(name, points, window, x) for name, points in timeline.series.items() if points],
    )


def _series(name: str, points: Points, window: tuple[float, float] | None, x: Scale) -> Series:
    scaled, unit = (1e-6, "MB") if name.endswith("_bytes") else (1.0, "")
    thin = [(time_s, value * scaled) for time_s, value in thinned(points)]
    values = [value for _, value in thin]
    y = Scale.over([0.0, *values, *([] if any(values) else [1.0])], HEIGHT - 2, 2)
    parts = []
    if window:
        start, end = x(window[0]), x(window[1])
        parts.append(tag("rect", x=start, width=end - start, y=0, height=HEIGHT, class_="window"))
    parts.append(tag("path", d=_path(thin, x, y), class_="reading"))
    spread = f"{tick_text(min(values))} to {tick_text(max(values))} {unit}".strip()
    label = name.removesuffix("_bytes").replace("_", " ")
    picture = tag(
        "svg", *parts, class_="spark", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{label}: {spread}"
    )
    return Series(label, spread, picture)


def thinned(points: Points) -> Points:
    """At most MOST_POINTS: of each stretch the lowest and the highest, in their order."""
    if len(points) <= MOST_POINTS:
        return points
    stretches = MOST_POINTS // 2
    borders = [round(number * len(points) / stretches) for number in range(stretches + 1)]
    kept = []
    for start, end in pairwise(borders):
        stretch = range(start, end)
        chosen = {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
        kept += [points[index] for index in sorted(chosen)]
    return tuple(kept)


def _path(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    places = [f"{x(time_s):.0f} {y(value):.1f}" for time_s, value in points]
    if len(places) == 1:
        return f"M{places[0]}h1"
    return "M" + "L".join(places)


def _plain(value: Any) -> str:
    """What a check looked at; a record may hold anything there."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:200]
