"""A run as a table: one row per cell, nothing left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import geometric_mean
from typing import Any

from bench.judge.limit import Limit, host_bound, limit
from bench.judge.reasons import without_numbers
from bench.judge.speedup import Cell, Cells, SpeedUp, by_cell, speed_up
from bench.judge.tails import tail
from bench.judge.untold import interleaved
from bench.records import Plan, PlannedTrial, Quality, TrialRecord


@dataclass(frozen=True)
class Row:
    """One partition x optimization. Throughput, or start_up_s where that is measured, is the geometric mean over valid
    trials; None where no trial is valid.
    p50 and p99 are means over processes (tails.py); None where a process answered too few requests to have one, of
    which `p99_requests` is the fewest. `limit` and `host_bound` are of valid trials. `remarks` counts the reasons of
    the others: reasons that differ only in their numbers count as one, and the first stands for all."""

    partition: str
    optimization: str
    tenants: int
    batch_size: int | None
    valid: int
    measured: int
    planned: int
    throughput_per_s: float | None
    start_up_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    p99_requests: int
    limit: Limit | None
    host_bound: bool
    speedup: SpeedUp | None
    quality: Quality | None
    remarks: tuple[tuple[str, int], ...]


def rows(plan: Plan, trials: Sequence[TrialRecord]) -> list[Row]:
    """The full device first, and of each partition the baseline first; otherwise by name."""
    cells = {(t.partition, t.optimization) for t in plan.trials}
    ordered = sorted(cells, key=lambda c: (c[0] != "full", c[0], c[1] != plan.baseline, c[1]))
    planned: dict[Cell, list[PlannedTrial]] = {}
    for trial in plan.trials:
        planned.setdefault((trial.partition, trial.optimization), []).append(trial)
    measured = by_cell(trials)
    return [_row(plan, planned[cell], measured, cell) for cell in ordered]


def _row(plan: Plan, planned: Sequence[PlannedTrial], measured: Cells, cell: Cell) -> Row:
    partition, optimization = cell
    mine = list(measured.get(cell, {}).values())
    valid = [t for t in mine if t.status == "ok"]
    throughputs = [t.throughput_per_s for t in valid if t.throughput_per_s]
    starts = [t.start_up_s for t in valid if t.start_up_s]
    return Row(
        partition=partition,
        optimization=optimization,
        tenants=planned[0].tenants,
        batch_size=mine[0].batch_size if mine else None,
        valid=len(valid),
        measured=len(mine),
        planned=len(planned),
        throughput_per_s=geometric_mean(throughputs) if throughputs else None,
        start_up_s=geometric_mean(starts) if starts else None,
        p50_ms=tail(valid, "p50").estimate,
        p99_ms=tail(valid, "p99").estimate,
        p99_requests=tail(valid, "p99").fewest,
        limit=limit(valid),
        host_bound=host_bound(valid),
        speedup=speed_up(measured, partition, optimization, plan.baseline, interleaved(plan)),
        quality=next((t.quality for t in mine if t.quality), None),
        remarks=_remarks([f"{t.status}: {t.reason}" for t in mine if t.status != "ok"]),
    )


def _remarks(reasons: Sequence[str]) -> tuple[tuple[str, int], ...]:
    first: dict[str, str] = {}
    for reason in reasons:
        first.setdefault(without_numbers(reason), reason)
    counts = Counter(without_numbers(reason) for reason in reasons)
    return tuple((first[kind], count) for kind, count in counts.most_common())


def to_json(row: Row) -> dict[str, Any]:
    """The row with plain values, for `--json`."""
    content = asdict(row)
    content["quality"] = row.quality.model_dump() if row.quality else None
    content["remarks"] = [{"reason": reason, "trials": count} for reason, count in row.remarks]
    return content
