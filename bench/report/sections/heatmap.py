"""Partition x optimization as a table of colours with the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import numbers
from bench.report.data import CellReport, RunReport

STEPS_PER_DOUBLING = 2
MOST_STEPS = 5
"""Colours either way: each step is a factor of 1.41, the last stands for all beyond."""


@dataclass(frozen=True)
class Cell:
    """`step` is the colour: below 0 slower than the reference, above 0 faster."""

    aggregate: str
    each: str
    relative: str
    step: int
    note: str


@dataclass(frozen=True)
class HeatMap:
    """`cells[i][j]` is optimization i on partition j, None where not planned; `reference` says against what."""

    partitions: Sequence[str]
    optimizations: Sequence[str]
    cells: Sequence[Sequence[Cell | None]]
    reference: str


def heat_map(run: RunReport) -> HeatMap:
    """Throughput of all tenants together, of each, and against the baseline on the full device where it is there."""
    plan = run.run.plan
    found = {(cell.row.partition, cell.row.optimization): cell for cell in run.cells}
    partitions = list(dict.fromkeys(cell.row.partition for cell in run.cells))
    optimizations = sorted({key[1] for key in found}, key=lambda name: (name != plan.baseline, name))
    rows = [[_cell(found.get((partition, optimization))) for partition in partitions] for optimization in optimizations]
    told = f"{plan.baseline} on full" if ("full", plan.baseline) in found else ""
    return HeatMap([_tenants(found, name) for name in partitions], optimizations, rows, told)


def _tenants(found: dict[tuple[str, str], CellReport], partition: str) -> str:
    tenants = next(cell.row.tenants for key, cell in found.items() if key[0] == partition)
    return f"{partition} ({numbers.counted(tenants, 'tenant')})"


def _cell(found: CellReport | None) -> Cell | None:
    if found is None:
        return None
    row = found.row
    if row.throughput_per_s is None:
        return Cell(numbers.NONE, "", "", 0, "no valid trial")
    sharing = found.sharing
    each = f"{numbers.rate(sharing.per_tenant_per_s)} each" if sharing and sharing.tenants > 1 else ""
    ratio = found.against_full.estimate if found.against_full else None
    relative = f"{ratio:.2f}x" if ratio else ""
    note = "" if row.valid == row.planned else f"{row.valid} of {row.planned} valid"
    return Cell(numbers.rate(row.throughput_per_s), each, relative, _step(ratio), note)


def _step(ratio: float | None) -> int:
    if not ratio:
        return 0
    return max(-MOST_STEPS, min(MOST_STEPS, round(STEPS_PER_DOUBLING * math.log2(ratio))))
