"""Verdicts and cells as CSV, for spreadsheets: which is why text that would be a formula is made none."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.judge.interference import Beside, Interference, Isolated, Together
from bench.judge.speedup import SpeedUp
from bench.judge.table import Row
from bench.judge.verdicts import Verdict
from bench.records import SAME, PlannedTrial
from bench.report.data import CellReport, Report

Value = str | int | float | None
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

VERDICTS = (
    "claim", "verdict", "counted", "evidence", "run", "device", "device_kind", "partition", "workload", "scenario",
    "optimization", "baseline", "role", "metric", "speedup", "speedup_low", "speedup_high", "pairs", "judged_level",
    "judged_low", "judged_high", "quality_metric", "quality_loss", "quality_loss_upper", "quality_margin", "blocks",
    "lost_blocks", "more_blocks", "fragile", "reason",
)  # fmt: skip
CELLS = (
    "run", "device", "workload", "scenario", "partition", "optimization", "tenants", "batch_size", "valid", "measured",
    "planned", "throughput_per_s", "start_up_s", "per_tenant_per_s", "jain", "lowest_share", "speedup", "speedup_low",
    "speedup_high", "pairs", "p50_ms", "p50_low_ms", "p50_high_ms", "p90_ms", "p90_low_ms", "p90_high_ms", "p95_ms",
    "p95_low_ms", "p95_high_ms", "p99_ms", "p99_low_ms", "p99_high_ms", "requests", "accuracy", "baseline_accuracy",
    "top1_agreement", "limit_share", "limit_of", "division", "isolation", "neighbours", "slow_down", "slow_down_low",
    "slow_down_high", "slow_down_pairs", "p99_inflation", "p99_inflation_low", "p99_inflation_high",
    "neighbours_per_s", "all_against_full", "all_against_full_low", "all_against_full_high", "against_process",
    "against_process_low", "against_process_high",
)  # fmt: skip


def verdicts_csv(report: Report) -> str:
    """One row for each verdict, under VERDICTS."""
    return _table(VERDICTS, (_verdict(verdict) for entry in report.entries for verdict in entry.verdicts))


def cells_csv(report: Report) -> str:
    """One row for each partition x optimization of each run, under CELLS. Empty is unknown."""
    rows = []
    for run in report.runs:
        plan = run.run.plan
        beside = _neighbours(run.neighbours, {trial.partition: trial for trial in plan.trials})
        rows += [
            [run.run.name, plan.device, plan.workload, plan.scenario, *_cell(cell), *beside(cell.row)]
            for cell in run.cells
        ]
    return _table(CELLS, rows)


def safe(value: Value) -> Value:
    """Text that a spreadsheet would execute begins with an apostrophe, which makes it text. Numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _table(names: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)  # lines end as RFC 4180 says, and both line breaks are quoted
    writer.writerow(names)
    writer.writerows([safe(value) for value in row] for row in rows)
    return text.getvalue()


def _verdict(verdict: Verdict) -> list[Value]:
    speedup, judged, loss = verdict.speedup, verdict.judged, verdict.quality
    return [
        verdict.claim, verdict.verdict, str(verdict.counted).lower(), verdict.evidence, verdict.run, verdict.device,
        verdict.device_kind, verdict.partition, verdict.workload, verdict.scenario, verdict.optimization,
        verdict.baseline, verdict.role, verdict.metric,
        *_ratio(speedup),
        *((judged.level, judged.low, judged.high) if judged else (None,) * 3),
        *((loss.metric, loss.loss, loss.upper) if loss else (None,) * 3),
        verdict.quality_margin, verdict.blocks, verdict.lost_blocks, verdict.more_blocks, str(verdict.fragile).lower(),
        verdict.reason,
    ]  # fmt: skip


def _cell(cell: CellReport) -> list[Value]:
    row, sharing, speedup, quality = cell.row, cell.sharing, cell.row.speedup, cell.row.quality
    return [
        row.partition, row.optimization, row.tenants, row.batch_size, row.valid, row.measured, row.planned,
        row.throughput_per_s, row.start_up_s,
        *((sharing.per_tenant_per_s, sharing.jain, sharing.lowest_share) if sharing else (None,) * 3),
        *_ratio(speedup),
        *(value for tail in cell.tails.values() for value in (tail.estimate, tail.low, tail.high)),
        cell.requests,
        *((quality.accuracy, quality.baseline_accuracy, quality.top1_agreement) if quality else (None,) * 3),
        *((row.limit.share, row.limit.of) if row.limit else (None,) * 2),
    ]  # fmt: skip


def _neighbours(found: Interference, sides: Mapping[str, PlannedTrial]) -> Callable[[Row], list[Value]]:
    """What belongs to one cell. Which division protects its victim belongs to four cells, and stands in
    the JSON form."""
    beside = {_key(row, row.neighbours): row for row in found.beside}
    isolated = {_key(row, row.neighbours): row for row in found.isolated}
    together = {_key(row, SAME): row for row in found.together}

    def of(row: Row) -> list[Value]:
        side = sides[row.partition]
        key = side.division, side.isolation, side.neighbours, row.optimization
        cost, plain, all_at_once = beside.get(key), isolated.get(key), together.get(key)
        return [
            *key[:3], *_ratio(cost.slow_down if cost else None), *_ratio(cost.p99.inflation if cost else None)[:3],
            cost.neighbours_per_s if cost else None, *_ratio(all_at_once.against_full if all_at_once else None)[:3],
            *_ratio(plain.ratio if plain else None)[:3],
        ]  # fmt: skip

    return of


def _key(row: Beside | Isolated | Together, neighbours: str) -> tuple[str, str, str, str]:
    return row.division, row.isolation, neighbours, row.optimization


def _ratio(found: SpeedUp | None) -> tuple[Value, ...]:
    return (found.estimate, found.low, found.high, found.pairs) if found else (None,) * 4
