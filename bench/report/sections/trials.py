"""All trials: as data for the page's own script, which sorts, filters and pages them, and the first as plain rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bench.judge.limit import limit
from bench.records import TrialRecord
from bench.report import numbers
from bench.report.data import RunReport

PLAIN_ROWS = 250
"""Rows that stand in the page itself, for readers and printers without script."""
COLUMNS = (
    "id", "block", "partition", "optimization", "tenants", "status", "items_per_s", "p50_ms", "ceiling_percent",
    "requests", "why",
)  # fmt: skip
STATUS = {"ok": "✓ valid", "invalid": "! invalid", "failed": "✗ failed"}


@dataclass(frozen=True)
class Line:
    """One trial as text."""

    id: str
    cells: Sequence[str]
    status: str


@dataclass(frozen=True)
class Trials:
    """`data` is JSON that may stand inside a script element."""

    data: Markup
    lines: Sequence[Line]
    total: int


def trials(run: RunReport) -> Trials:
    """In the order in which they were measured."""
    found = run.run.trials
    return Trials(script_json(_packed(found)), [_line(trial) for trial in found[:PLAIN_ROWS]], len(found))


def script_json(content: Any) -> Markup:
    """JSON in which nothing can end a script element or begin a comment."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for sign in "<>&'":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _packed(found: Sequence[TrialRecord]) -> dict[str, Any]:
    """Names are kept once and rows point at them: ten thousand trials stay near a megabyte."""
    names: dict[str, int] = {}

    def point(name: str) -> int:
        return names.setdefault(name, len(names))

    rows = [
        [
            trial.id,
            trial.block,
            point(trial.partition),
            point(trial.optimization),
            trial.tenants,
            trial.status,
            None if trial.throughput_per_s is None else float(f"{trial.throughput_per_s:.6g}"),
            None if trial.latency_ms is None else float(f"{trial.latency_ms.p50:.6g}"),
            _of_ceiling(trial),
            trial.requests,
            point(trial.reason or ""),
        ]
        for trial in found
    ]
    return {"columns": COLUMNS, "names": list(names), "rows": rows, "status": STATUS}


def _of_ceiling(trial: TrialRecord) -> float | None:
    """Per cent, to the tenth that is shown."""
    found = limit([trial])
    return round(100 * found.share, 1) if found else None


def _line(trial: TrialRecord) -> Line:
    cells = (
        str(trial.block),
        trial.partition,
        trial.optimization,
        str(trial.tenants),
        STATUS[trial.status],
        numbers.NONE if trial.throughput_per_s is None else f"{trial.throughput_per_s:,.1f}",
        numbers.ms(trial.latency_ms.p50 if trial.latency_ms else None),
        numbers.NONE if (share := _of_ceiling(trial)) is None else f"{share:,.1f} %",
        f"{trial.requests:,}",
        trial.reason or "",
    )
    return Line(trial.id, cells, trial.status)
