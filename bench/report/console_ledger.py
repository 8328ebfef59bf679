"""The ledger of claims in the terminal, on standard output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.judge.ledger import Entry
from bench.judge.reasons import band
from bench.judge.verdicts import Verdict
from bench.report import words
from bench.report.console import escape, result_console
from bench.report.sections.verdicts import claimed, source


def print_ledger(entries: Sequence[Entry]) -> None:
    """Every claim with all its verdicts."""
    console = result_console()
    for entry in entries:
        console.print(f"[bold]{escape(entry.name)}[/]  {escape(words.word(entry.verdict))}", soft_wrap=True)
        says = ": ".join(part for part in (entry.claim.title, claimed(entry)) if part)
        console.print(escape(f"  {says}  ({source(entry)})"), soft_wrap=True)
        for counted in (True, False):
            chosen = [verdict for verdict in entry.verdicts if verdict.counted == counted]
            if chosen:
                console.print(escape(f"  {words.heading(entry, counted)}:"), soft_wrap=True)
                rolled = words.rolled(entry.own if counted else entry.beside) if len(chosen) > 1 else ""
                if rolled:
                    console.print(escape(f"    {rolled}"), soft_wrap=True)
                several = len({(verdict.device, verdict.run) for verdict in chosen}) > 1
                for verdict in chosen:
                    console.print(escape(f"    {_line(verdict, several)}"), soft_wrap=True)
        console.print()


def print_brief(entries: Sequence[Entry]) -> None:
    """After a run: one line for each claim that it says something about, and how many it says nothing about."""
    console = result_console()
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for name in ("claim", "treatment", "partition", "verdict", "speed-up", "quality"):
        table.add_column(name)
    spoken = [entry for entry in entries if any(v.evidence == "measured" for v in entry.verdicts)]
    for entry in spoken:
        for verdict in entry.verdicts:
            if verdict.evidence == "measured" and verdict.role == "claimed":
                cells = (
                    f"{entry.name} ({band(entry.claim)})",
                    verdict.optimization or "",
                    verdict.partition or "",
                    words.word(verdict.verdict),
                    words.speed(verdict),
                    words.quality(verdict),
                )
                table.add_row(*(escape(cell) for cell in cells))
    if table.row_count:
        console.print(table)
    for line in _notes(entries, spoken):
        console.print(escape(line), soft_wrap=True)


def _notes(entries: Sequence[Entry], spoken: Sequence[Entry]) -> list[str]:
    lines = []
    measured = [v for entry in spoken for v in entry.verdicts if v.evidence == "measured"]
    if any(not verdict.counted for verdict in measured):
        lines.append(
            "These verdicts are about this device. The claims speak of other hardware, for which they never count."
        )
    silent = Counter(
        "settled by a specification" if entry.claim.settled else entry.verdict
        for entry in entries
        if entry not in spoken
    )
    if silent:
        said = ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in silent.most_common())
        lines.append(f"Of {len(entries)} claims {len(entries) - len(spoken)} are not touched by this run ({said}).")
    return lines


def _line(verdict: Verdict, several: bool) -> str:
    origin = (verdict.device, verdict.run) if several else ()
    place = (verdict.optimization, verdict.partition, verdict.workload, verdict.scenario, *origin)
    where = " ".join(part for part in place if part)
    against = f" vs {verdict.baseline}" if verdict.baseline else ""
    fragile = " (fragile: ranks say otherwise)" if verdict.fragile else ""
    return f"{words.word(verdict.verdict)}  {where}{against}{': ' if where else ''}{verdict.reason}{fragile}"
