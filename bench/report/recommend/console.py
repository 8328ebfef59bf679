"""A recommendation in the terminal: the answer first, then what it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table

from bench.judge.recommend.answer import STANDINGS, Answer
from bench.report.console import LEAST_WIDTH, escape, result_console
from bench.report.recommend.words import Line, Words, words

NARROWEST = 100
"""Columns: numbers with their intervals take as many."""
TITLES = {"satisfies": "Satisfy the need, the best first", "open": "Not known", "fails": "Fall out"}


def print_recommendation(answer: Answer) -> None:
    """All of it, on standard output."""
    out, found = _Out(), words(answer)
    out.print(f"[bold]{escape(found.headline)}[/]")
    for line in (found.setting, found.lead, found.ties):
        if line:
            out.print(escape(line))
    out.pairs("What you get", found.facts)
    out.pairs("What was asked for", found.wanted)
    if found.measure:
        out.title("What to measure")
        for why, command in found.measure:
            out.print(escape(f"{why}{':' if command else '.'}"), indent=2)
            if command:
                out.command(command)
    for standing in STANDINGS:
        lines = [line for line in found.lines if line.standing == standing]
        if lines:
            out.title(f"{TITLES[standing]} ({len(lines)})")
            _group(out, found, lines, answer.need.prices is not None)
    out.title("The rule of thumb")
    for original, translated, said in found.rules:
        out.print(escape(f"{translated}: {original}"), indent=2)
        out.print(escape(said), indent=4)
    if found.no_rule:
        out.print(escape(found.no_rule), indent=2)
    if found.cautions:
        out.title("Note")
        for caution in found.cautions:
            out.print(escape(caution), indent=2)


INTERVAL = re.compile(r" ([\[(])")
"""Where one begins, or what is said beside a number."""


class _Out:
    """Text that is broken between words at the terminal's width, under its own beginning."""

    def __init__(self) -> None:
        self._console = result_console()
        terminal = Console()
        self._width = min(LEAST_WIDTH, max(NARROWEST, terminal.width)) if terminal.is_terminal else LEAST_WIDTH

    def print(self, what: RenderableType, indent: int = 0) -> None:
        self._console.print(Padding(what, (0, 0, 0, indent), expand=False), width=self._width)

    def title(self, text: str) -> None:
        self._console.print(f"\n[bold]{escape(text)}[/]")

    def command(self, text: str) -> None:
        """In one line, which a shell takes as it is."""
        self._console.print(escape(f"    {text}"), soft_wrap=True)

    def numbers(self, columns: Sequence[tuple[str, list[str]]]) -> None:
        """In one line each where the terminal is wide enough."""
        table = _numbers(columns, broken=False)
        if self._console.measure(table).maximum + 2 > self._width:
            table = _numbers(columns, broken=True)
        self.print(table, indent=2)

    def pairs(self, title: str, pairs: Sequence[tuple[str, str]]) -> None:
        if not pairs:
            return
        self.title(title)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for pair in pairs:
            grid.add_row(*map(escape, pair))
        self.print(grid, indent=2)


def _group(out: _Out, found: Words, lines: Sequence[Line], has_cost: bool) -> None:
    """Those of one standing: numbers where they may be chosen from, and each reason once, with those it is said of."""
    if lines[0].standing != "fails":
        out.numbers(list(_columns(found, lines, has_cost)))
    if lines[0].standing == "satisfies":
        return
    said_of: dict[str, list[str]] = {}
    for line in lines:
        for reason in line.why:
            said_of.setdefault(reason, []).append(line.name)
    if lines[0].standing == "open":
        out.print("")
    for reason, names in said_of.items():
        of_all = len(names) == len(lines) > 1
        out.print(escape(f"{reason}:"), indent=2)
        out.print(escape("all of them" if of_all and lines[0].standing == "open" else _together(names)), indent=4)


def _together(names: Sequence[str]) -> str:
    """ "fp32, int8 on full; fp32 on cpuset"."""
    on: dict[str, list[str]] = {}
    for name in names:
        optimization, _, partition = name.partition(" on ")
        on.setdefault(partition, []).append(optimization)
    return "; ".join(f"{', '.join(several)} on {partition}" for partition, several in on.items())


def _numbers(columns: Sequence[tuple[str, list[str]]], broken: bool) -> Table:
    """broken: titles and numbers in two lines, intervals below what they are of."""
    table = Table(header_style="bold", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for index, (title, _) in enumerate(columns):
        shown = escape(_halved(title) if broken else title)
        table.add_column(shown, justify="right" if index else "left", no_wrap=index > 0, overflow="fold")
    for name, *cells in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(escape(name), *(escape(INTERVAL.sub(r"\n\1", cell) if broken else cell) for cell in cells))
    return table


def _halved(title: str) -> str:
    """Broken at the space that is nearest to its middle."""
    spaces = [index for index, letter in enumerate(title) if letter == " "]
    if not spaces:
        return title
    at = min(spaces, key=lambda index: abs(index - len(title) // 2))
    return f"{title[:at]}\n{title[at + 1 :]}"


def _columns(found: Words, lines: Sequence[Line], has_cost: bool) -> Iterator[tuple[str, list[str]]]:
    """Title and cells; columns in which nothing was asked for and nothing is known are left out."""
    yield "configuration", [line.name for line in lines]
    yield "tenants", [line.tenants for line in lines]
    yield "items/s", [line.rate for line in lines]
    if found.asks_p99 or not all(line.few for line in lines):
        yield "p99 ms", [line.p99 for line in lines]
    yield "quality loss", [line.quality for line in lines]
    if has_cost:
        yield found.cost_title, [line.cost for line in lines]
    if lines[0].standing == "satisfies" and len(lines) > 1:
        yield found.behind_title, [line.behind for line in lines]
