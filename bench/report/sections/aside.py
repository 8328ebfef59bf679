"""What is not in the numbers: infeasible, spoiled, or set aside, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.judge.table import Row
from bench.records import ALL, Infeasible
from bench.report.data import RunReport

MOST_LINES = 500
"""Of a hostile or broken record; the rest is counted."""


@dataclass(frozen=True)
class Spoiled:
    """Trials of one cell that count for nothing, for one kind of reason."""

    partition: str
    optimization: str
    trials: str
    status: str
    reason: str


@dataclass(frozen=True)
class Aside:
    """All of a run; `more` says how many lines of what was set aside are not shown."""

    infeasible: Sequence[tuple[str, str]]
    spoiled: Sequence[Spoiled]
    set_aside: Sequence[tuple[str, str]]
    more: int


def aside(run: RunReport) -> Aside:
    """Nothing is dropped in silence."""
    return Aside(
        [(_what(item), item.reason) for item in run.run.plan.infeasible],
        [spoiled for cell in run.cells for spoiled in _spoiled(cell.row)],
        [(item.where, item.why) for item in run.set_aside[:MOST_LINES]],
        max(0, len(run.set_aside) - MOST_LINES),
    )


def _what(item: Infeasible) -> str:
    if item.telemetry:
        return f"telemetry {item.telemetry}"
    return " ".join(name for name in (item.partition, item.optimization) if name != ALL) or "everything"


def _spoiled(row: Row) -> list[Spoiled]:
    found = []
    for remark, count in row.remarks:
        status, _, why = remark.partition(": ")
        shown = f"e.g. {why}" if count > 1 else why
        found.append(Spoiled(row.partition, row.optimization, f"{count} of {row.measured}", status, shown))
    return found
