"""Everything that a report shows, computed once: the forms (HTML, Markdown, CSV, JSON) only lay it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.claims import Claim
from bench.judge.compare.comparison import Comparison
from bench.judge.compare.within import within
from bench.judge.evidence import RunEvidence
from bench.judge.fairness import Sharing, sharing
from bench.judge.interference import Interference, interference
from bench.judge.ledger import Entry, ledger
from bench.judge.noise import Floor
from bench.judge.published import Published
from bench.judge.speedup import SpeedUp
from bench.judge.table import Row, rows
from bench.judge.tails import SHARES, Quantile, Tail, tail
from bench.judge.untold import interleaved
from bench.records import TrialRecord
from bench.report.timeline import Timeline, timeline
from bench.stored import SetAside, StoredRun
from bench.stored_tables import read_samples

PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)
"""Percentiles of the pooled latencies that are drawn; the outermost only where enough requests stand behind them."""
TIMELINES = 200
"""Trials whose telemetry is drawn: those that are not valid first. More would make a file that no browser likes; the
others' readings lie beside the run."""


@dataclass(frozen=True)
class CellReport:
    """One partition x optimization. `percentiles_ms` (at PERCENTS) pool the counted requests of all valid trials: they
    show the shape, and no interval; `medians_ms` has one median per valid trial, `requests` counts them all."""

    row: Row
    tails: Mapping[Quantile, Tail]
    sharing: Sharing | None
    percentiles_ms: tuple[float, ...]
    medians_ms: tuple[float, ...]
    requests: int
    against_full: SpeedUp | None
    """Against the run's baseline on the full device, in the same blocks; None where they share none."""


@dataclass(frozen=True)
class RunReport:
    """One run. `compared`: its two versions, where it measured those. `timelines` by trial id; `set_aside` is all of it
    that could not be used."""

    run: StoredRun
    cells: Sequence[CellReport]
    floors: Sequence[Floor]
    neighbours: Interference
    compared: Comparison | None
    timelines: Mapping[str, Timeline]
    set_aside: Sequence[SetAside]


@dataclass(frozen=True)
class Report:
    """What a report is made of: every claim, and the runs and published figures behind the verdicts."""

    entries: Sequence[Entry]
    runs: Sequence[RunReport]
    published: Mapping[str, Published]


def build(claims: Mapping[str, Claim], runs: Sequence[StoredRun], published: Mapping[str, Published]) -> Report:
    """Judge the runs and read their samples and telemetry. What cannot be read is set aside and named."""
    return Report(ledger(claims, runs, published), [_run_report(run) for run in runs], published)


def _run_report(run: StoredRun) -> RunReport:
    evidence = RunEvidence(run)
    aside: list[SetAside] = list(run.set_aside)
    cells = [_cell(evidence, row, aside) for row in rows(run.plan, run.trials)]
    timelines = {}
    watched = [trial for trial in run.trials if _has_window(run, trial) and not _untold(run, "telemetry", trial)]
    for trial in sorted(watched, key=lambda trial: trial.status == "ok")[:TIMELINES]:
        found = timeline(run, trial)
        if isinstance(found, SetAside):
            aside.append(found)
        else:
            timelines[trial.id] = found
    return RunReport(run, cells, _floors(evidence), interference(run), _compared(run), timelines, aside)


def _compared(run: StoredRun) -> Comparison | None:
    return within(run) if run.plan.against and not run.rehearsal else None


def _has_window(run: StoredRun, trial: TrialRecord) -> bool:
    """Whether its requests and telemetry were recorded: not those of a failed trial, nor of tenants that start."""
    return trial.status != "failed" and run.plan.measures == "throughput"


def _untold(run: StoredRun, part: str, trial: TrialRecord) -> bool:
    """Whether another tool measured it and told of no single requests, or readings: then no file was lost."""
    return run.plan.imported is not None and not (run.folder / part / f"{trial.id}.parquet").exists()


def _cell(evidence: RunEvidence, row: Row, aside: list[SetAside]) -> CellReport:
    run, cell = evidence.run, (row.partition, row.optimization)
    valid = [trial for trial in evidence.trials_of(cell) if trial.status == "ok"]
    paired = evidence.paired(cell, ("full", run.plan.baseline))
    latencies: list[npt.NDArray[np.float64]] = []
    for trial in (trial for trial in valid if _has_window(run, trial) and not _untold(run, "samples", trial)):
        found = read_samples(run, trial)
        if isinstance(found, SetAside):
            aside.append(found)
        else:
            latencies.append(found.latency_ms)
    pooled = np.concatenate(latencies) if latencies else np.empty(0)
    return CellReport(
        row,
        {quantile: tail(valid, quantile) for quantile in SHARES},
        sharing(valid),
        tuple(np.percentile(pooled, PERCENTS).tolist()) if len(pooled) else (),
        tuple(float(np.median(values)) for values in latencies),
        len(pooled),
        SpeedUp.of(paired, interleaved(run.plan)) if paired else None,
    )


def _floors(evidence: RunEvidence) -> list[Floor]:
    found = [evidence.floor(partition, evidence.plan.blocks) for partition in evidence.partitions()]
    return [floor for floor in found if floor]
