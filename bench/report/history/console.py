"""A history in the terminal: its shifts, on standard output."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.judge.history.history import History
from bench.report.console import escape, result_console
from bench.report.history import words

MOST_CHANGES, MOST_NOTES = 30, 10


def print_history(history: History) -> None:
    """The newest shifts first, then what may become one."""
    console = result_console()
    console.print(escape(words.headline(history)), soft_wrap=True)
    changes = history.changes
    if changes:
        table = Table(header_style="bold", box=SIMPLE_HEAD)
        for name in ("first run after it", "series", "metric", "shift", "coincides with"):
            table.add_column(name, overflow="fold")
        several = len(words.devices(history)) > 1
        for series, change in changes[:MOST_CHANGES]:
            of = str(series.key) + (f", {series.key.device}" if several else "")
            size = f"{words.direction(series.key.metric, change)} {words.size(change)}"
            if told := words.recent(change):
                size += f"\n{told}"
            metric = words.NAMES[series.key.metric]
            coincides = "; ".join(words.coincides(change.coincides))
            table.add_row(*map(escape, (change.first.name, of, metric, size, coincides)))
        console.print(table)
    if len(changes) > MOST_CHANGES:
        console.print(f"and {len(changes) - MOST_CHANGES} older ones, on the page")
    lines = notes(history)
    for line in lines[:MOST_NOTES]:
        console.print(escape(line), soft_wrap=True)
    if len(lines) > MOST_NOTES:
        console.print(f"and {len(lines) - MOST_NOTES} more such notes, on the page")


def notes(history: History) -> list[str]:
    """What may become a shift, what drifts, and what is too short to tell."""
    lines = []
    for series in history.series:
        of = f"{series.key}, {words.NAMES[series.key.metric]}"
        if series.pending:
            lines.append(f"possible: {of}: {words.possible(series, series.pending)}")
        if series.course.drift is not None:
            lines.append(f"drifting: {of}: {words.drifted(series)}, no single shift")
    short = words.too_short(history)
    return [*lines, *([short] if short else [])]
