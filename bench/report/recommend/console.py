"""A recommendation in the terminal: the answer first, then what it stands on."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.judge.recommend.answer import Answer
from bench.report.console import escape, result_console
from bench.report.recommend.words import Words, words


def print_recommendation(answer: Answer) -> None:
    """All of it, on standard output."""
    console, found = result_console(), words(answer)
    console.print(f"[bold]{escape(found.headline)}[/]", soft_wrap=True)
    for line in (found.setting, found.lead, found.ties):
        if line:
            console.print(escape(line), soft_wrap=True)
    _pairs(console, "What you get", found.facts)
    _pairs(console, "What was asked for", found.wanted)
    if found.measure:
        console.print("\n[bold]What to measure[/]")
        for why, command in found.measure:
            console.print(escape(f"  {why}{':' if command else '.'}"), soft_wrap=True)
            if command:
                console.print(escape(f"    {command}"), soft_wrap=True)
    console.print("\n[bold]All configurations, and why[/]")
    console.print(_table(found, answer.need.prices is not None))
    _rules(console, found)
    if found.cautions:
        console.print("\n[bold]Note[/]")
        for caution in found.cautions:
            console.print(escape(f"  {caution}"), soft_wrap=True)


def _pairs(console: Console, title: str, pairs: list[tuple[str, str]]) -> None:
    if not pairs:
        return
    console.print(f"\n[bold]{title}[/]")
    width = max(len(name) for name, _ in pairs)
    for name, text in pairs:
        console.print(escape(f"  {name:<{width}}  {text}"), soft_wrap=True)


def _table(found: Words, has_cost: bool) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    table.add_column("configuration", overflow="fold")
    for name in ("tenants", "items/s", "p99 ms", "quality loss", *([found.cost_title] if has_cost else [])):
        table.add_column(name, justify="right")
    table.add_column("need")
    table.add_column("why", overflow="fold")
    for line in found.lines:
        cells = (
            line.name,
            line.tenants,
            line.rate,
            line.p99,
            line.quality,
            *([line.cost] if has_cost else []),
            line.standing_words,
            "; ".join(line.why),
        )
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _rules(console: Console, found: Words) -> None:
    console.print("\n[bold]The rule of thumb[/]")
    for original, translated, said in found.rules:
        console.print(escape(f"  {translated}: {original}"), soft_wrap=True)
        console.print(escape(f"    {said}"), soft_wrap=True)
    if found.no_rule:
        console.print(escape(f"  {found.no_rule}"), soft_wrap=True)
