"""Speed against quality: one panel for each partition, with those marked that no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.records import Quality
from bench.report import numbers
from bench.report.data import CellReport, RunReport
from bench.report.labels import Label, placed
from bench.report.svg import Scale, axes, chart, mark, tag

WIDTH, HEIGHT = 620, 360
LEFT, RIGHT, TOP, BOTTOM = 48, 612, 30, 316


@dataclass(frozen=True)
class Point:
    """One cell: items per second, and quality of which more is better."""

    name: str
    per_s: float
    quality: float
    shown: str
    is_baseline: bool


@dataclass(frozen=True)
class Panel:
    """One partition; `front` names the cells that nothing beats in both, from the slowest to the fastest."""

    partition: str
    picture: Markup
    front: Sequence[str]


def panels(run: RunReport, ident: str) -> list[Panel]:
    """One for each partition in which at least two cells have speed and quality."""
    found = []
    for number, partition in enumerate(dict.fromkeys(cell.row.partition for cell in run.cells)):
        cells = [cell for cell in run.cells if cell.row.partition == partition]
        metric, points = _points(run, cells)
        if len(points) > 1:
            best = front(points)
            picture = _picture(f"{ident}-pareto-{number}", partition, metric, points, best)
            found.append(Panel(partition, picture, [point.name for point in best]))
    return found


def front(points: Sequence[Point]) -> list[Point]:
    """The Pareto front: for each of them, no other is at least as fast and as good, and better in one."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (-p.per_s, -p.quality, p.name)):
        if not best or point.quality > best[-1].quality:
            best.append(point)
    return best[::-1]


def _points(run: RunReport, cells: Sequence[CellReport]) -> tuple[str, list[Point]]:
    """Of one metric: that of the first cell that has any."""
    metric, points = "", []
    for cell in cells:
        row = cell.row
        if row.quality is None or row.throughput_per_s is None or row.optimization == run.run.plan.again:
            continue
        name, value = _value(row.quality)
        if name == (metric := metric or name):
            is_baseline = row.optimization == run.run.plan.baseline
            shown = numbers.quality(row.quality, is_baseline)
            points.append(Point(row.optimization, row.throughput_per_s, value, shown, is_baseline))
    return metric, points


def _value(quality: Quality) -> tuple[str, float]:
    if quality.accuracy is not None:
        return "accuracy, %", 100 * quality.accuracy
    if quality.top1_agreement is not None:
        return f"top-1 agreement with {quality.baseline}, %", 100 * quality.top1_agreement
    return "minus relative error", -quality.relative_error


def _picture(ident: str, partition: str, metric: str, points: Sequence[Point], best: Sequence[Point]) -> Markup:
    x = Scale.over((point.per_s for point in points), LEFT, RIGHT, log=True, margin=0.12)
    y = Scale.over((point.quality for point in points), BOTTOM, TOP, margin=0.12)
    spots = [Label(point.name, x(point.per_s), y(point.quality)) for point in points]
    texts = [
        tag("text", label.text, x=label.x, y=label.y, text_anchor=label.anchor, class_="label")
        for label in placed(spots, LEFT, RIGHT, TOP, BOTTOM)
    ]
    dots = []
    for point in points:
        kind = " baseline" if point.is_baseline else ""
        kind += " best" if point in best else ""
        tip = f"{point.name}: {numbers.rate(point.per_s)} items/s, {point.shown}"
        shape = tag("circle", cx=x(point.per_s), cy=y(point.quality), r=5.5, class_=f"dot{kind}")
        dots.append(mark(f"{tip}{', on the Pareto front' if point in best else ''}", shape))
    return chart(
        ident,
        WIDTH,
        HEIGHT,
        f"Speed against quality on {partition}",
        f"{len(points)} optimizations. On the Pareto front: {', '.join(point.name for point in best)}.",
        axes(x, y, "items per second (log)", metric),
        tag("path", d=_steps(best, x, y), class_="front"),
        *dots,
        *texts,
    )


def _steps(best: Sequence[Point], x: Scale, y: Scale) -> str:
    """The border of what the front covers: left and below of it, everything is beaten."""
    path = f"M{LEFT} {y(best[0].quality):.1f}"
    for before, after in zip(best, [*best[1:], None], strict=True):
        path += f"H{x(before.per_s):.1f}"
        path += f"V{y(after.quality) if after else BOTTOM:.1f}"
    return path
