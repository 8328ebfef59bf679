"""Latencies: for each cell the band of its percentiles and a dot for each trial's median, and the tails as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.judge.metrics import BEYOND
from bench.report import numbers
from bench.report.data import PERCENTS, CellReport, RunReport
from bench.report.svg import Scale, line_chart, mark, percent, tag, tick_text

HEIGHT = 30
BAND_Y, DOTS_Y = 10.0, 22.0
SPREAD = (0.0, 2.4, -2.4, 1.2, -1.2)
"""Dots are moved up and down a little, so that equal ones can be told apart."""


@dataclass(frozen=True)
class Line:
    """One cell: its plot and its quantiles as text."""

    optimization: str
    plot: Markup
    quantiles: Sequence[tuple[str, str]]
    orders: Sequence[float]
    trials: str


@dataclass(frozen=True)
class Group:
    """One partition."""

    partition: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Latencies:
    """All cells of a run on one axis."""

    axis: Markup
    groups: Sequence[Group]


def latencies(run: RunReport) -> Latencies | None:
    """None where no request was counted."""
    values = [value for cell in run.cells for value in (*_outer(cell), *cell.medians_ms) if value > 0]
    if not values:
        return None
    scale = Scale.over(values, 0, 100, log=True, margin=0.04)
    groups = [
        Group(partition, [_line(cell, scale) for cell in run.cells if cell.row.partition == partition])
        for partition in dict.fromkeys(cell.row.partition for cell in run.cells)
    ]
    return Latencies(_axis(scale), groups)


def _outer(cell: CellReport) -> tuple[float, ...]:
    """The ends of the thin line: the farthest percentiles that enough requests lie beyond."""
    if not cell.percentiles_ms:
        return ()
    for low, high in ((1, 99), (5, 95), (10, 90)):
        if cell.requests * low / 100 >= BEYOND:
            return _at(cell, low), _at(cell, high)
    return _at(cell, 25), _at(cell, 75)


def _at(cell: CellReport, share: int) -> float:
    return cell.percentiles_ms[PERCENTS.index(share)]


def _line(cell: CellReport, scale: Scale) -> Line:
    return Line(
        cell.row.optimization,
        _plot(cell, scale),
        [numbers.quantile(tail) for tail in cell.tails.values()],
        [tail.estimate if tail.estimate is not None else -1.0 for tail in cell.tails.values()],
        f"{numbers.counted(len(cell.medians_ms), 'trial')}, {numbers.counted(cell.requests, 'request')}",
    )


def _plot(cell: CellReport, scale: Scale) -> Markup:
    grid = [
        tag("line", x1=percent(scale(value)), x2=percent(scale(value)), y1=0, y2="100%", class_="grid")
        for value in scale.ticks()
    ]
    if not cell.percentiles_ms:
        return line_chart(HEIGHT, *grid)
    low, high = _outer(cell)
    quarter, median, three = (percent(scale(_at(cell, share))) for share in (25, 50, 75))
    tip = (
        f"{cell.row.partition} {cell.row.optimization}: half of the requests took {numbers.ms(_at(cell, 25))} to "
        f"{numbers.ms(_at(cell, 75))} ms, median {numbers.ms(_at(cell, 50))} ms"
    )
    band = mark(
        tip,
        _across(percent(scale(low)), percent(scale(high)), "thin"),
        _across(quarter, three, "thick"),
        tag("line", x1=median, x2=median, y1=BAND_Y - 6, y2=BAND_Y + 6, class_="median"),
    )
    return line_chart(HEIGHT, *grid, band, *_dots(cell.medians_ms, scale))


def _across(start: str, end: str, class_: str) -> Markup:
    return tag("line", x1=start, x2=end, y1=BAND_Y, y2=BAND_Y, class_=class_)


def _dots(medians_ms: Sequence[float], scale: Scale) -> list[Markup]:
    """One for each median; those that would cover each other are drawn once."""
    places = dict.fromkeys(percent(round(scale(value), 1)) for value in medians_ms if value > 0)
    return [
        tag("circle", cx=at, cy=DOTS_Y + SPREAD[number % len(SPREAD)], r=2.2, class_="trial-dot")
        for number, at in enumerate(places)
    ]


def _axis(scale: Scale) -> Markup:
    texts = [
        tag("text", tick_text(value), x=percent(scale(value)), y=12, text_anchor="middle", class_="tick")
        for value in scale.ticks()
        if 4 < scale(value) < 96
    ]
    return line_chart(16, *texts)
