"""Forest plots: the speed-ups of one claim with their intervals, against the band that is claimed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.judge.ledger import Entry
from bench.judge.verdicts import Verdict
from bench.report import words
from bench.report.sections.verdicts import claimed, one_subject, several_runs
from bench.report.svg import Scale, line_chart, mark, percent, tag, tick_text

HEIGHT = 24
MIDDLE = "50%"
REACH = 2.0
"""How far beyond the 95 % intervals the axis follows those that verdicts stand on: of few blocks they are endless."""


@dataclass(frozen=True)
class Line:
    """One verdict with its plot."""

    verdict: Verdict
    name: str
    place: str
    speed: str
    plot: Markup


@dataclass(frozen=True)
class Forest:
    """All of one claim on one axis."""

    entry: Entry
    claimed: str
    axis: Markup
    lines: Sequence[Line]


def forests(entries: Sequence[Entry]) -> list[Forest]:
    """One for each claim that a speed was measured for."""
    alone, several = one_subject(entries), several_runs(entries)
    found = []
    for entry in entries:
        verdicts = [verdict for verdict in entry.verdicts if verdict.speedup]
        if verdicts:
            found.append(_forest(entry, verdicts, alone, several))
    return found


def _forest(entry: Entry, verdicts: Sequence[Verdict], alone: bool, several: bool) -> Forest:
    scale = _scale(entry, verdicts)
    lines = [
        Line(
            verdict,
            name=" ".join(part for part in (verdict.optimization, verdict.partition) if part),
            place=_place(verdict, alone, several),
            speed=words.speed(verdict),
            plot=_plot(entry, verdict, scale),
        )
        for verdict in verdicts
    ]
    return Forest(entry, claimed(entry), _axis(entry, scale), lines)


def _place(verdict: Verdict, alone: bool, several: bool) -> str:
    against = f"vs {verdict.baseline}" if verdict.baseline else ""
    parts = [
        against,
        *(() if alone else (verdict.workload, verdict.scenario)),
        verdict.run if several and verdict.evidence == "measured" else "",
    ]
    return ", ".join(part for part in parts if part)


def _scale(entry: Entry, verdicts: Sequence[Verdict]) -> Scale:
    values = [1.0, *(bound for bound in entry.claim.band if 0 < bound < math.inf)]
    for verdict in verdicts:
        if verdict.speedup:
            values += [verdict.speedup.estimate, verdict.speedup.low or math.nan, verdict.speedup.high or math.nan]
    shown = [value for value in values if math.isfinite(value) and value > 0]
    low, high = min(shown) / REACH, max(shown) * REACH
    for judged in (verdict.judged for verdict in verdicts):
        if judged:
            shown += [max(judged.low, low), min(judged.high, high)]
    return Scale.over(shown, 0, 100, log=True)


def _band(entry: Entry, scale: Scale) -> Markup:
    low, high = entry.claim.band
    start, end = (scale(low) if low > 0 else 0.0), (scale(high) if high < math.inf else 100.0)
    return tag("rect", x=percent(start), width=percent(end - start), y=0, height="100%", class_="band")


def _grid(scale: Scale) -> list[Markup]:
    lines = [_upright(scale(value), "grid") for value in scale.ticks()]
    return [*lines, _upright(scale(1.0), "unity")]


def _upright(at: float, class_: str) -> Markup:
    return tag("line", x1=percent(at), x2=percent(at), y1=0, y2="100%", class_=class_)


def _plot(entry: Entry, verdict: Verdict, scale: Scale) -> Markup:
    speedup, judged = verdict.speedup, verdict.judged
    assert speedup is not None
    marks = []
    tip = f"{verdict.optimization or ''}: {words.speed(verdict)}"
    if judged:
        tip += f"; judged by {words.judged(judged)}"
        marks += _interval(scale, judged.low, judged.high, "thin")
    if speedup.low is not None and speedup.high is not None:
        marks += _interval(scale, speedup.low, speedup.high, "thick")
    at = percent(scale(speedup.estimate))
    hollow = " hollow" if verdict.role == "same_runtime" else ""
    marks.append(tag("circle", cx=at, cy=MIDDLE, r=4.5, class_=f"dot{hollow}"))
    return line_chart(HEIGHT, _band(entry, scale), *_grid(scale), mark(tip, *marks))


def _interval(scale: Scale, low: float, high: float, class_: str) -> list[Markup]:
    """A line; where it goes on beyond the axis, an arrow head says so."""
    start, end = percent(scale(low)), percent(scale(high))
    found = [tag("line", x1=start, x2=end, y1=MIDDLE, y2=MIDDLE, class_=class_)]
    if low < scale.low:
        found.append(tag("text", "◂", x="0%", y=MIDDLE, dy=4, class_="beyond"))
    if high > scale.high:
        found.append(tag("text", "▸", x="100%", y=MIDDLE, dy=4, text_anchor="end", class_="beyond"))
    return found


def _axis(entry: Entry, scale: Scale) -> Markup:
    texts = [
        tag("text", f"{tick_text(value)}x", x=percent(scale(value)), y=14, text_anchor="middle", class_="tick")
        for value in scale.ticks()
        if 3 < scale(value) < 97
    ]
    return line_chart(20, *texts)
