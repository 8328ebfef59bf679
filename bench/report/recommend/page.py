"""A recommendation as one HTML page that loads nothing."""

from __future__ import annotations

from bench.judge.recommend.answer import Answer
from bench.report.html import page
from bench.report.recommend.picture import panels
from bench.report.recommend.words import words


def render(answer: Answer) -> str:
    """The same bytes for the same data: no time, no path of this machine."""
    return page(
        "recommendation.html.j2",
        words=words(answer),
        panels=panels(answer),
        kind="measured on a GPU" if answer.device_kind == "cuda" else "measured on a CPU, no GPU",
        runs=[run.name for run in answer.runs],
        judged=answer.judged,
        has_cost=answer.need.prices is not None,
        front=[member.name for member in answer.front.members],
        front_axes=answer.front.axes,
        headroom=f"{100 * answer.need.headroom:.3g} %",
        usable=f"{100 * answer.need.usable:.3g} %",
    )
