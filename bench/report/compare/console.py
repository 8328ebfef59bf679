"""A comparison in the terminal, on standard output: the outcome first, then every series."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.judge.compare.comparison import Comparison, Outcome
from bench.report.compare.words import (
    MOST_DIFFERENCES,
    MOST_NOTES,
    WORDS,
    devices,
    headline,
    how_to_read,
    shortened,
    units,
    worst_first,
)
from bench.report.console import escape, result_console


def print_comparison(comparison: Comparison) -> None:
    """What came out, what carries it, what differs, and how to read it."""
    console = result_console()
    console.print(f"[bold]{escape(headline(comparison))}[/]", soft_wrap=True)
    if comparison.outcomes:
        console.print(escape(f"on {devices(comparison)}"), soft_wrap=True)
        console.print(_table(comparison.outcomes))
    if comparison.differs:
        console.print("what differs from base to candidate:", soft_wrap=True)
        for line in shortened([str(item) for item in comparison.differs], MOST_DIFFERENCES):
            console.print(escape(f"  {line}"), soft_wrap=True)
    for line in (*shortened(comparison.notes, MOST_NOTES), *how_to_read(comparison)):
        console.print(escape(line), soft_wrap=True)


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    several = len({(outcome.series.workload, outcome.series.scenario) for outcome in outcomes}) > 1
    names = ["outcome", *(["workload", "scenario"] if several else []), "partition", "optimization", "metric"]
    for name in (*names, "speed, candidate / base", "measured", "why"):
        table.add_column(name, overflow="fold")
    for outcome in worst_first(outcomes):
        where = outcome.series
        cells = (
            WORDS[outcome.outcome],
            *([where.workload, where.scenario] if several else []),
            where.partition,
            where.optimization,
            outcome.metric.replace("_", "-"),
            str(outcome.ratio or "–"),
            units(outcome),
            outcome.reason,
        )
        table.add_row(*(escape(cell) for cell in cells))
    return table
