"""The picture of one series: its runs with their intervals, the levels between shifts, and where it shifted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from bench.judge.history.history import Change, Metric, Point, Trend
from bench.report.history import words
from bench.report.labels import LETTER
from bench.report.svg import Scale, axes, chart, mark, tag

WIDTH, HEIGHT = 900, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 56, 26
ROOM = 6.0
"""How many times the noise is shown beyond the levels: an odd run farther out stands at the edge, as an arrow."""
MOST_TIPS = 200
"""Of longer series single runs tell nothing when pointed at: the page would be too heavy."""
DATES = 6
ROWS = 3
ROW = 14.0


def picture(series: Trend, ident: str, numbers: Sequence[int]) -> Markup:
    """`numbers`: of its changes, in the table of all changes."""
    points, metric = series.points, series.key.metric
    x = Scale(-0.5, max(len(points) - 0.5, 0.5), LEFT, WIDTH - RIGHT)
    y = _height(series)
    parts = [
        axes(x, y, "", words.UNITS[metric], x_ticks=()),
        *_dates(points, x, y),
        *_changes(series, numbers, x, y),
        _intervals(points, x, y),
        _dots(points, x, y),
        *_levels(series, x, y),
        *_odd(points, x, y, metric),
        *(_tips(points, x, y, metric) if len(points) <= MOST_TIPS else ()),
    ]
    title = f"{words.NAMES[metric]} of {series.key}, {words.UNITS[metric]}, over {len(points)} runs"
    return chart(ident, WIDTH, HEIGHT, title, description(series), *parts)


def description(series: Trend) -> str:
    """The same in words, for those who do not see it."""
    first, last = series.points[0], series.points[-1]
    metric = series.key.metric
    told = [
        f"from {words.value(metric, first.value)} on {words.date(first.night)} "
        f"to {words.value(metric, last.value)} on {words.date(last.night)}"
    ]
    told += [f"{words.direction(metric, one)} {words.size(one)} from {one.first.name} on" for one in series.changes]
    return "; ".join(told)


def _height(series: Trend) -> Scale:
    logs = [math.log(point.value) for point in series.points]
    levels = [segment.level for segment in series.course.segments] or logs
    room = ROOM * (series.course.noise or 0.0)
    if series.pending:
        levels = [*levels, *logs[series.pending.shift.index :]]
    low, high = min(levels) - room, max(levels) + room
    shown = [math.exp(log) for log in logs if low <= log <= high] + [math.exp(level) for level in levels]
    return Scale.over(shown, HEIGHT - BOTTOM, TOP, margin=0.12)


def _dates(points: Sequence[Point], x: Scale, y: Scale) -> list[Markup]:
    last = len(points) - 1
    places = sorted({round(last * part / (DATES - 1)) for part in range(DATES)}) if last >= DATES else range(last + 1)
    found = []
    for place, told in zip(places, words.dates([points[place].night for place in places]), strict=True):
        anchor = "end" if place == last and last else "start" if place == 0 else "middle"
        at = x(place)
        found.append(tag("line", x1=at, x2=at, y1=y.start, y2=y.start + 4, class_="grid"))
        found.append(tag("text", told, x=at, y=y.start + 18, text_anchor=anchor, class_="tick"))
    return found


def _changes(series: Trend, numbers: Sequence[int], x: Scale, y: Scale) -> list[Markup]:
    """An upright line at each, with its number and size in the first row above where there is room."""
    ends = [-math.inf] * ROWS
    found = []
    for number, change in zip(numbers, series.changes, strict=True):
        found += _change(change, f"{number}: {words.short_size(change)}", "", ends, x, y)
    if series.pending:
        found += _change(series.pending, f"possible: {words.short_size(series.pending)}", " possible", ends, x, y)
    return found


def _change(change: Change, text: str, kind: str, ends: list[float], x: Scale, y: Scale) -> list[Markup]:
    at, width = x(change.shift.index - 0.5), LETTER * len(text)
    start = min(max(at - width / 2, LEFT), WIDTH - RIGHT - width)
    row = next((row for row in range(ROWS) if ends[row] < start), ROWS - 1)
    ends[row] = start + width
    top = y.end - 8 - ROW * row
    class_ = f"shift {'better' if change.better else 'worse'}{kind}"
    tip = f"{text}, from {change.first.name} on; coincides with: {'; '.join(words.coincides(change.coincides))}"
    return [
        mark(
            tip,
            tag("line", x1=at, x2=at, y1=top + 3, y2=y.start, class_=class_),
            tag("text", text, x=start + width / 2, y=top, text_anchor="middle", class_=f"label {class_}"),
        )
    ]


def _intervals(points: Sequence[Point], x: Scale, y: Scale) -> Markup:
    lines = "".join(f"M{x(place):.1f} {y(point.low):.1f}V{y(point.high):.1f}" for place, point in enumerate(points))
    return tag("path", d=lines, class_="within")


def _dots(points: Sequence[Point], x: Scale, y: Scale) -> Markup:
    """One path for all: hundreds of elements would make a heavy page."""
    dots = "".join(
        f"M{x(place):.1f} {y(point.value):.1f}h0" for place, point in enumerate(points) if y.holds(point.value)
    )
    return tag("path", d=dots, class_="runs") if dots else Markup("")


def _odd(points: Sequence[Point], x: Scale, y: Scale, metric: Metric) -> list[Markup]:
    """Runs beyond the axis."""
    found = []
    for place, point in enumerate(points):
        if not y.holds(point.value):
            high = point.value > y.high
            sign = tag(
                "text", "▴" if high else "▾", x=x(place), y=y.end + 10 if high else y.start - 2, text_anchor="middle",
                class_="odd",
            )  # fmt: skip
            found.append(mark(_tip(point, metric), sign))
    return found


def _levels(series: Trend, x: Scale, y: Scale) -> list[Markup]:
    """The mean level of each stretch without a shift."""
    found = []
    for segment in series.course.segments:
        at = y(math.exp(segment.level))
        found.append(tag("line", x1=x(segment.start - 0.5), x2=x(segment.end - 0.5), y1=at, y2=at, class_="level"))
    return found


def _tips(points: Sequence[Point], x: Scale, y: Scale, metric: Metric) -> list[Markup]:
    """What tells of a run when it is pointed at: a stripe, since a dot is hard to hit."""
    width = (x.end - x.start) / max(len(points), 1)
    return [
        mark(
            _tip(point, metric),
            tag("rect", x=x(place) - width / 2, width=width, y=y(point.value) - 9, height=18, class_="hit"),
        )
        for place, point in enumerate(points)
        if y.holds(point.value)
    ]


def _tip(point: Point, metric: Metric) -> str:
    blocks = f"{point.valid} of {point.planned} blocks valid"
    return f"{point.night.name}: {words.value(metric, point.value)}, {blocks}"
