"""Cost (or throughput) against p99 and against quality: every candidate that has both numbers."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from bench.judge.recommend.answer import Answer, Weighed
from bench.judge.recommend.pareto import Axis
from bench.report.labels import Label, placed
from bench.report.svg import Scale, axes, chart, mark, tag

WIDTH, HEIGHT = 620, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 612, 30, 316
NAMES: dict[Axis, str] = {
    "cost": "cost of a million inferences{} (log)",
    "throughput": "items per second, all tenants together (log)",
    "p99": "p99 of the slowest tenant, ms (log)",
    "quality": "quality loss, points",
}


@dataclass(frozen=True)
class Panel:
    """`title` says where better is."""

    title: str
    picture: Markup


def panels(answer: Answer) -> list[Panel]:
    """None where the candidates are compared in one number only."""
    first, *others = answer.front.axes
    found = []
    for other in others:
        shown = [
            item
            for item in answer.weighed
            if item.enough_evidence
            and all(answer.front.badness(item.candidate, axis) is not None for axis in (first, other))
        ]
        if len(shown) > 1:
            corner = "left and low" if first == "cost" else "right and low"
            words = f"{NAMES[other].partition(',')[0]} against {'cost' if first == 'cost' else 'throughput'}"
            found.append(
                Panel(f"{words[0].upper()}{words[1:]}: better is {corner}", _picture(answer, shown, first, other))
            )
    return found


def _value(answer: Answer, item: Weighed, axis: Axis) -> float:
    found = answer.front.badness(item.candidate, axis)
    assert found is not None
    return 100 * found if axis == "quality" else abs(found)


def _picture(answer: Answer, shown: list[Weighed], first: Axis, other: Axis) -> Markup:
    x = Scale.over((_value(answer, item, first) for item in shown), LEFT, RIGHT, log=True, margin=0.12)
    y = Scale.over((_value(answer, item, other) for item in shown), BOTTOM, TOP, log=other == "p99", margin=0.12)
    spots = [
        Label(item.candidate.name, x(_value(answer, item, first)), y(_value(answer, item, other))) for item in shown
    ]
    texts = [
        tag("text", label.text, x=label.x, y=label.y, text_anchor=label.anchor, class_="label")
        for label in placed(spots, LEFT, RIGHT, TOP, BOTTOM)
    ]
    dots = []
    for item, spot in zip(shown, spots, strict=True):
        kind = " best" if item.standing == "satisfies" else ""
        kind += " baseline" if item is answer.best else ""
        front = ", on the Pareto front" if any(item.candidate is member for member in answer.front.members) else ""
        tip = f"{item.candidate.name}: {item.standing}{front}"
        dots.append(mark(tip, tag("circle", cx=spot.x, cy=spot.y, r=5.5, class_=f"dot{kind}")))
    currency = answer.need.prices.currency if answer.need.prices else ""
    title = f"{NAMES[other]} against {first}"
    names = ", ".join(item.candidate.name for item in shown if item.standing == "satisfies") or "none"
    return chart(
        f"trade-off-{other}",
        WIDTH,
        HEIGHT,
        title,
        f"{len(shown)} configurations. Those that satisfy the need: {names}.",
        axes(x, y, NAMES[first].format(f", {currency}" if currency else ""), NAMES[other]),
        *dots,
        *texts,
    )
