"""What neighbours cost, in the terminal: a sentence for each kind of them, on standard output."""

from __future__ import annotations

from bench.judge.interference import Interference
from bench.report.console import escape, result_console
from bench.report.sections.neighbours import SLOWER, sentences

MOST_LINES = 12


def print_brief(found: Interference) -> None:
    """Nothing where nothing was told of neighbours."""
    told = sentences(found)
    if not told:
        return
    console = result_console()
    for line in told[:MOST_LINES]:
        console.print(escape(line), soft_wrap=True)
    if len(told) > MOST_LINES:
        console.print(f"and {len(told) - MOST_LINES} more: bench report", soft_wrap=True)
    console.print(escape(SLOWER), soft_wrap=True)
