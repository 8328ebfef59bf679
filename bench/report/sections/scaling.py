"""Scaling: what a device yields in all when more tenants share it, and how evenly they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.records import SAME
from bench.report import numbers
from bench.report.data import CellReport, RunReport
from bench.report.labels import Label, placed
from bench.report.svg import Scale, axes, chart, mark, tag

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 610, 34, 330
SHAPES = 4


@dataclass(frozen=True)
class Line:
    """One cell: of `even`, what each tenant would get of a device whose yield did not change by sharing."""

    partition: str
    optimization: str
    tenants: int
    aggregate: str
    each: str
    gain: str
    jain: str
    lowest: str


@dataclass(frozen=True)
class Scaling:
    """`legend` pairs a shape with the partition that it stands for."""

    picture: Markup
    legend: Sequence[tuple[Markup, str]]
    lines: Sequence[Line]


def scaling(run: RunReport, ident: str) -> Scaling | None:
    """Of the optimizations that were measured with several tenants; None where there are none. Where neighbours ran
    something else, tenants did not share with their like."""
    plan = run.run.plan
    alike = {trial.partition for trial in plan.trials if trial.neighbours == SAME}
    measured = [cell for cell in run.cells if cell.row.partition in alike and cell.row.optimization != plan.again]
    cells = [cell for cell in measured if cell.sharing]
    shared = {cell.row.optimization for cell in cells if cell.sharing and cell.sharing.tenants > 1}
    cells = [cell for cell in cells if cell.row.optimization in shared]
    if not cells:
        return None
    shapes = {name: number % SHAPES for number, name in enumerate(dict.fromkeys(c.row.partition for c in cells))}
    full = {cell.row.optimization: cell for cell in cells if cell.row.partition == "full"}
    legend = [(_sample(shape), name) for name, shape in shapes.items()]
    lines = [_line(cell, full.get(cell.row.optimization)) for cell in cells]
    return Scaling(_picture(ident, cells, shapes, full), legend, lines)


def _line(cell: CellReport, full: CellReport | None) -> Line:
    sharing = cell.sharing
    assert sharing is not None
    several = sharing.tenants > 1
    gain = ""
    if several and full and full.sharing:
        gain = f"{sharing.aggregate_per_s / full.sharing.aggregate_per_s:.2f}x"
    return Line(
        cell.row.partition,
        cell.row.optimization,
        sharing.tenants,
        numbers.rate(sharing.aggregate_per_s),
        numbers.rate(sharing.per_tenant_per_s),
        gain,
        f"{sharing.jain:.3f}" if several else numbers.NONE,
        f"{100 * sharing.lowest_share:.1f} %" if several else numbers.NONE,
    )


def _picture(ident: str, cells: Sequence[CellReport], shapes: dict[str, int], full: dict[str, CellReport]) -> Markup:
    points = [(cell, *_values(cell)) for cell in cells]
    tenants = sorted({number for _, number, _ in points})
    x = Scale(min(tenants) - 0.3, max(tenants) + 0.3, LEFT, RIGHT)
    y = Scale.over((per_s for _, _, per_s in points), BOTTOM, TOP, log=True, margin=0.1)
    links, dots = [], []
    last: dict[str, tuple[int, float]] = {}
    for cell, number, per_s in points:
        name = cell.row.optimization
        start = full.get(name)
        if start and start is not cell:
            before, from_s = _values(start)
            links.append(tag("line", x1=x(before), y1=y(from_s), x2=x(number), y2=y(per_s), class_="link"))
        tip = f"{name} on {cell.row.partition}, {numbers.counted(number, 'tenant')}: {numbers.rate(per_s)} items/s"
        dots.append(mark(tip, _shape(shapes[cell.row.partition], x(number), y(per_s))))
        if name not in last or last[name][0] <= number:
            last[name] = (number, per_s)
    spots = [Label(name, x(number), y(per_s)) for name, (number, per_s) in last.items()]
    texts = [
        tag("text", label.text, x=label.x, y=label.y, text_anchor=label.anchor, class_="label")
        for label in placed(spots, LEFT, WIDTH, TOP, BOTTOM)
    ]
    return chart(
        f"{ident}-scaling-chart",
        WIDTH,
        HEIGHT,
        "Aggregate throughput against the number of tenants",
        "The table below holds the same numbers.",
        axes(x, y, "tenants", "items per second, all tenants together (log)", tenants),
        *links,
        *dots,
        *texts,
    )


def _values(cell: CellReport) -> tuple[int, float]:
    assert cell.sharing is not None
    return cell.sharing.tenants, cell.sharing.aggregate_per_s


def _shape(shape: int, x: float, y: float) -> Markup:
    """Partitions differ by shape as well as by colour."""
    class_ = f"shape shape-{shape}"
    if shape == 0:
        return tag("circle", cx=x, cy=y, r=5, class_=class_)
    if shape == 1:
        return tag("rect", x=x - 4.5, y=y - 4.5, width=9, height=9, class_=class_)
    outline = {2: ((0, -6), (6, 5), (-6, 5)), 3: ((0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0))}[shape]
    return tag("polygon", points=" ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in outline), class_=class_)


def _sample(shape: int) -> Markup:
    return tag("svg", _shape(shape, 8, 8), class_="sample", width=16, height=16, aria_hidden="true")
