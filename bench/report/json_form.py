"""The report as plain values, for `--json`: all of it but the samples and the telemetry, which lie beside the run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.judge import ledger, table
from bench.judge.compare import comparison
from bench.printable import finite
from bench.report.data import PERCENTS, CellReport, Report, RunReport


def to_json(report: Report) -> dict[str, Any]:
    """Valid JSON: what is no number is null."""
    content = {
        "claims": [
            {
                "claim": entry.name,
                "title": entry.claim.title,
                "verdict": entry.verdict,
                "own": asdict(entry.own),
                "beside": asdict(entry.beside) if entry.beside else None,
            }
            for entry in report.entries
        ],
        "verdicts": [ledger.to_json(verdict) for entry in report.entries for verdict in entry.verdicts],
        "runs": [_run(run) for run in report.runs],
        "published": {name: source.model_dump() for name, source in report.published.items()},
    }
    found: dict[str, Any] = finite(content)
    return found


def _run(run: RunReport) -> dict[str, Any]:
    plan = run.run.plan
    return {
        "run": run.run.name,
        "device": plan.device,
        "device_kind": plan.device_kind,
        "workload": plan.workload,
        "scenario": plan.scenario,
        "protocol": plan.protocol,
        "blocks": plan.blocks,
        "imported": plan.imported.model_dump() if plan.imported else None,
        "trials": len(run.run.trials),
        "cells": [_cell(cell) for cell in run.cells],
        "noise_floors": [
            {"partition": f.partition, "again": asdict(f.again), "floor": f.share, "differs": f.differs}
            for f in run.floors
        ],
        "neighbours": asdict(run.neighbours),
        "comparison": [comparison.to_json(outcome) for outcome in run.compared.outcomes] if run.compared else None,
        "infeasible": [item.model_dump() for item in plan.infeasible],
        "set_aside": [asdict(item) for item in run.set_aside],
    }


def _cell(cell: CellReport) -> dict[str, Any]:
    return table.to_json(cell.row) | {
        "tails_ms": {quantile: asdict(tail) for quantile, tail in cell.tails.items()},
        "sharing": asdict(cell.sharing) if cell.sharing else None,
        "percentiles_ms": dict(zip(map(str, PERCENTS), cell.percentiles_ms, strict=False)),
        "medians_ms": list(cell.medians_ms),
        "requests": cell.requests,
    }
