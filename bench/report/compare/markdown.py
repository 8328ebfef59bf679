"""A comparison as Markdown, for the summary page of a CI run: the gate, every series, what differs, how to read it."""

from __future__ import annotations

from bench.judge.compare.comparison import Comparison
from bench.report.compare.words import (
    COLUMNS,
    MOST_DIFFERENCES,
    MOST_NOTES,
    as_row,
    devices,
    headline,
    how_to_read,
    shortened,
    worst_first,
)
from bench.report.markdown import as_table, plain


def render(comparison: Comparison) -> str:
    """GitHub's Markdown; whatever a record says is text in it, never markup."""
    lines = [f"## {plain(headline(comparison))}", ""]
    if comparison.outcomes:
        lines += [f"On {plain(devices(comparison))}.", ""]
        lines += as_table(COLUMNS, (as_row(outcome) for outcome in worst_first(comparison.outcomes)))
    if comparison.differs:
        lines += ["### What differs", ""]
        rows = [(item.name, item.before, item.after) for item in comparison.differs[:MOST_DIFFERENCES]]
        left = len(comparison.differs) - len(rows)
        rows += [(f"and {left} more", "", "")] if left else []
        lines += as_table(("", "base", "candidate"), rows)
    if comparison.notes:
        lines += ["### Notes", "", *(f"- {plain(note)}" for note in shortened(comparison.notes, MOST_NOTES)), ""]
    reading = how_to_read(comparison)
    lines += ["### How to read it", "", *(f"- {plain(line)}" for line in reading), ""] if reading else []
    return "\n".join(lines).rstrip() + "\n"
