"""The report as Markdown, for the summary page of a CI run: the answer, the verdicts, the cells, what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from bench.printable import printable
from bench.report import numbers, words
from bench.report.cells import cell_line, rate_title
from bench.report.data import Report, RunReport
from bench.report.sections import aside, environment, neighbours, summary, versions
from bench.report.sections.verdicts import Group, groups, untested

CELLS = ("p50 ms:", "p99 ms:", "of ceiling:", "speed-up:", "quality:", "valid:")
BESIDE = {True: "On the hardware that the claims speak of", False: "On other hardware, not counted"}


def render(report: Report) -> str:
    """GitHub's Markdown; whatever a record says is text in it, never markup."""
    head = summary.summary(report)
    lines = [f"# {plain(head.title)}", "", f"**{plain(head.kind)}**", ""]
    lines += [f"- {name}: {plain(value)}" for name, value in head.facts]
    lines += ["", plain(head.paragraph), ""]
    lines += [line for warning in head.warnings for line in (f"> **Note.** {plain(warning)}", "")]
    lines += _verdicts(report) if report.entries else []
    for run in report.runs:
        lines += _run(run)
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """Text that Markdown and the HTML in it take literally, on one line."""
    flat = printable(" ".join(text.split()))
    entities = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = re.sub(r"([\\`*_\[\]|#~!@])", r"\\\1", entities)
    return re.sub(r"\b(https?|ftp|www)\b(?=[:.])", r"\1&#8203;", escaped)  # no link is made of it


def as_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table with its blank line after it. Column names that end in a colon are right-aligned."""
    ruler = ["---:" if name.endswith(":") else "---" for name in names]
    lines = [[name.rstrip(":") for name in names], ruler, *([plain(text) for text in row] for row in rows)]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _verdicts(report: Report) -> list[str]:
    known, silent = groups(report.entries), untested(report.entries)
    lines = ["## Verdicts", ""]
    if known:
        lines += as_table(("claim", "it says", "verdict", "sum"), (_roll_up(group) for group in known))
        names = ("claim", "verdict", "treatment", "against", "where", "speed-up:", "quality", "reason")
        for counted, title in BESIDE.items():
            rows = [row for group in known for row in _rows(group, counted)]
            if rows:
                lines += [f"### {title}", "", *as_table(names, rows)]
    if silent:
        rows = [
            (
                i.entry.name,
                ": ".join(part for part in (i.entry.claim.title, i.claimed) if part),
                i.needs.removeprefix("needs "),
            )
            for i in silent
        ]
        lines += ["### Not testable here", "", *as_table(("claim", "it says", "a test needs"), rows)]
    return lines


def _roll_up(group: Group) -> tuple[str, ...]:
    entry = group.entry
    return (
        entry.name,
        ": ".join(part for part in (entry.claim.title, group.claimed) if part),
        words.word(entry.verdict),
        entry.own.summary,
    )


def _rows(group: Group, counted: bool) -> Iterable[tuple[str, ...]]:
    for part in group.parts:
        for line in part.lines if part.counted == counted else ():
            verdict = line.verdict
            against = f"{line.baseline} (same runtime)" if verdict.role == "same_runtime" else line.baseline
            word = words.word(verdict.verdict) + (" (fragile)" if verdict.fragile else "")
            place = f"{line.place} ({line.run})" if line.run else line.place
            cells = (word, line.treatment, against, place, line.speed, line.quality, line.reason)
            yield group.entry.name, *cells


def _run(run: RunReport) -> list[str]:
    plan = run.run.plan
    subject = f"{plan.workload}, {plan.scenario} on {plan.device}"
    lines = [f"## {plain(subject)}", "", f"Run {plain(run.run.name)}.", ""]
    columns = ("partition", "optimization", "tenants:", f"{rate_title(plan)}:", *CELLS)
    lines += as_table(columns, (astuple(cell_line(cell.row, plan.baseline)) for cell in run.cells))
    if run.floors:
        floors = [
            (
                floor.partition,
                numbers.ratio(floor.again),
                f"± {100 * floor.share:.1f} %",
                "! differs from itself" if floor.differs else "",
            )
            for floor in run.floors
        ]
        names = ("noise floor on", f"{plain(plan.baseline)} against itself:", "floor:", "finding")
        lines += as_table(names, floors)
    return [*lines, *_versions(run), *_neighbours(run), *_aside(run), *_command(run)]


def _versions(run: RunReport) -> list[str]:
    found = versions.versions(run.compared)
    if found is None:
        return []
    reading = [line for text in found.reading for line in (plain(text), "")]
    return ["### Two versions", "", f"**{plain(found.headline)}**", "", *as_table(found.names, found.rows), *reading]


def _neighbours(run: RunReport) -> list[str]:
    lines = ["### Neighbours", "", *(f"- {plain(told)}" for told in neighbours.sentences(run.neighbours)), ""]
    for table in neighbours.tables(run.neighbours):
        lines += [f"**{table.title}.** {table.caption}", "", *as_table(table.names, table.rows)]
    return lines if run.neighbours else []


def _aside(run: RunReport) -> list[str]:
    found = aside.aside(run)
    rows = [("infeasible", what, why) for what, why in found.infeasible]
    rows += [
        (item.status, f"{item.partition} {item.optimization}, {item.trials} trials", item.reason)
        for item in found.spoiled
    ]
    rows += [("set aside", where, why) for where, why in found.set_aside]
    if found.more:
        rows.append(("set aside", f"{found.more} more", "see the JSON form"))
    return as_table(("not counted", "what", "why"), rows) if rows else []


def _command(run: RunReport) -> list[str]:
    """As an indented block: no text of it can end it, because it is one line."""
    command = " ".join(environment.command(run.run.description).split())
    return ["To repeat it:", "", f"    {command}", ""] if command else []
