"""Verdicts and cells as CSV, for spreadsheets: which is why text that would be a formula is made none."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from bench.judge.verdicts import Verdict
from bench.report.data import CellReport, Report

Value = str | int | float | None
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

VERDICTS = (
    "claim", "verdict", "counted", "evidence", "run", "device", "device_kind", "partition", "workload", "scenario",
    "optimization", "baseline", "role", "speedup", "speedup_low", "speedup_high", "pairs", "judged_level", "judged_low",
    "judged_high", "quality_metric", "quality_loss", "quality_loss_upper", "quality_margin", "blocks", "lost_blocks",
    "more_blocks", "fragile", "reason",
)  # fmt: skip
CELLS = (
    "run", "device", "workload", "scenario", "partition", "optimization", "tenants", "batch_size", "valid", "measured",
    "planned", "throughput_per_s", "per_tenant_per_s", "jain", "lowest_share", "speedup", "speedup_low",
    "speedup_high", "pairs", "p50_ms", "p50_low_ms", "p50_high_ms", "p90_ms", "p90_low_ms", "p90_high_ms", "p95_ms",
    "p95_low_ms", "p95_high_ms", "p99_ms", "p99_low_ms", "p99_high_ms", "requests", "accuracy", "baseline_accuracy",
    "top1_agreement", "limit_share", "limit_of",
)  # fmt: skip


def verdicts_csv(report: Report) -> str:
    """One row for each verdict, under VERDICTS."""
    return _table(VERDICTS, (_verdict(verdict) for entry in report.entries for verdict in entry.verdicts))


def cells_csv(report: Report) -> str:
    """One row for each partition x optimization of each run, under CELLS. Empty is unknown."""
    rows = []
    for run in report.runs:
        plan = run.run.plan
        rows += [[run.run.name, plan.device, plan.workload, plan.scenario, *_cell(cell)] for cell in run.cells]
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
        verdict.baseline, verdict.role,
        *((speedup.estimate, speedup.low, speedup.high, speedup.pairs) if speedup else (None,) * 4),
        *((judged.level, judged.low, judged.high) if judged else (None,) * 3),
        *((loss.metric, loss.loss, loss.upper) if loss else (None,) * 3),
        verdict.quality_margin, verdict.blocks, verdict.lost_blocks, verdict.more_blocks, str(verdict.fragile).lower(),
        verdict.reason,
    ]  # fmt: skip


def _cell(cell: CellReport) -> list[Value]:
    row, sharing, speedup, quality = cell.row, cell.sharing, cell.row.speedup, cell.row.quality
    return [
        row.partition, row.optimization, row.tenants, row.batch_size, row.valid, row.measured, row.planned,
        row.throughput_per_s,
        *((sharing.per_tenant_per_s, sharing.jain, sharing.lowest_share) if sharing else (None,) * 3),
        *((speedup.estimate, speedup.low, speedup.high, speedup.pairs) if speedup else (None,) * 4),
        *(value for tail in cell.tails.values() for value in (tail.estimate, tail.low, tail.high)),
        cell.requests,
        *((quality.accuracy, quality.baseline_accuracy, quality.top1_agreement) if quality else (None,) * 3),
        *((row.limit.share, row.limit.of) if row.limit else (None,) * 2),
    ]  # fmt: skip
