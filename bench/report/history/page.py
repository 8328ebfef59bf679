"""A history as one HTML page that loads nothing (docs/adr/0006)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.judge.history.history import Change, History, Trend
from bench.report.history import words
from bench.report.history.chart import picture
from bench.report.html import page

MOST_CHANGES, MOST_PICTURES, MOST_QUIET, MOST_ASIDE = 300, 80, 1000, 200
FEW = 6
"""Series that are drawn where none of them has anything to tell: those of most runs."""


@dataclass(frozen=True)
class Line:
    """A change in the table of all; `target`: the picture of its series, "" where it is not drawn."""

    number: int
    series: Trend
    change: Change
    target: str
    levels: str


@dataclass(frozen=True)
class Shown:
    """A series with its picture."""

    ident: str
    series: Trend
    numbers: Sequence[int]
    remarks: Sequence[str]
    picture: Markup


def render(history: History) -> str:
    """The same bytes for the same data: no time of writing, no path of this machine."""
    changes = history.changes
    numbers = {id(change): number for number, (_, change) in enumerate(changes, start=1)}
    telling = _telling(history)
    pictured = telling or sorted(history.series, key=lambda series: -len(series.points))[:FEW]
    idents = {id(series): f"series{number}" for number, series in enumerate(pictured[:MOST_PICTURES], start=1)}
    told = {id(series) for series in telling}
    quiet = [series for series in history.series if id(series) not in told]
    return page(
        "history.html.j2",
        words=words,
        history=history,
        headline=words.headline(history),
        notes=list(_notes(history, changes)),
        lines=[_line(number, *found, idents) for number, found in enumerate(changes[:MOST_CHANGES], start=1)],
        more_changes=max(0, len(changes) - MOST_CHANGES),
        shown=[_shown(series, idents[id(series)], numbers) for series in pictured[:MOST_PICTURES]],
        more_pictures=max(0, len(pictured) - MOST_PICTURES),
        quiet=quiet[:MOST_QUIET],
        more_quiet=max(0, len(quiet) - MOST_QUIET),
        aside=history.set_aside[:MOST_ASIDE],
        more_aside=max(0, len(history.set_aside) - MOST_ASIDE),
        several_devices=len(words.devices(history)) > 1,
        several_subjects=len(words.subjects(history)) > 1,
    )


def _telling(history: History) -> list[Trend]:
    """Those with something to see: the newest shifts first, then possible ones, then drifts."""
    told = [series for series, _ in history.changes]
    told += [series for series in history.series if series.pending]
    told += [series for series in history.series if series.course.drift is not None]
    return list({id(series): series for series in told}.values())


def _line(number: int, series: Trend, change: Change, idents: dict[int, str]) -> Line:
    return Line(number, series, change, idents.get(id(series), ""), words.levels(series, change))


def _shown(series: Trend, ident: str, numbers: dict[int, int]) -> Shown:
    mine = [numbers[id(change)] for change in series.changes]
    remarks = []
    if series.pending:
        remarks.append(
            f"Possible, from {series.pending.first.name} on: {words.possible(series, series.pending)}. "
            f"{words.at_that_time(series.pending)}"
        )
    if series.course.drift is not None:
        remarks.append(f"It drifts: {words.drifted(series)}. One slope tells more here than shifts would.")
    if series.course.too_few:
        remarks.append(words.too_few(series))
    if series.without:
        remarks.append(f"{words.without(series)}: {_names(series.without)}.")
    return Shown(ident, series, mine, remarks, picture(series, ident, mine))


def _names(runs: Sequence[str]) -> str:
    return ", ".join(runs[:5]) + (f" and {len(runs) - 5} more" if len(runs) > 5 else "")


def _notes(history: History, changes: Sequence[tuple[Trend, Change]]) -> Iterator[str]:
    """What the reader should know before the table."""
    if changes:
        _, newest = changes[0]
        together = sum(change.first is newest.first for _, change in changes)
        yield f"The newest shift is in {newest.first.name}, in {_series(together)}."
    pending = sum(series.pending is not None for series in history.series)
    if pending:
        yield f"In {_series(pending)} the last runs lie off, and are too few to be sure."
    drifts = sum(series.course.drift is not None for series in history.series)
    if drifts:
        yield f"{_series(drifts).capitalize()} {'drifts' if drifts == 1 else 'drift'} without a single shift."
    if short := words.too_short(history):
        yield f"{short}."


def _series(number: int) -> str:
    return "one series" if number == 1 else f"{number:,} series"
