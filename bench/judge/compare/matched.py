"""Trials of runs of different times, matched by what was measured; and which of them count. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.judge import reasons
from bench.judge.compare.comparison import FEWEST, Metric, Series, cost
from bench.judge.compare.lost import lost_blocks
from bench.judge.evidence import RunEvidence, own_trials
from bench.judge.metrics import P99, fewest_requests, tail_needs
from bench.judge.speedup import Cell
from bench.judge.untold import without_blocks
from bench.records import TrialRecord
from bench.stored import StoredRun

MOST_NAMES = 3


@dataclass(frozen=True)
class Part:
    """One run's trials of one series. tenants: that share the device. obstacle: why they do not count, or None."""

    run: StoredRun
    tenants: int
    trials: Sequence[TrialRecord]
    obstacle: str | None

    @property
    def valid(self) -> list[TrialRecord]:
        return [trial for trial in self.trials if trial.status == "ok"]

    def logs(self, metric: Metric) -> list[float]:
        return [found for trial in self.valid if (found := cost(trial, metric)) is not None]

    def fewest_requests(self) -> int:
        return fewest_requests(self.valid)


def parts_of(run: StoredRun) -> Iterator[tuple[Series, Part]]:
    """Every cell of the version that a run is about."""
    plan, evidence = run.plan, RunEvidence(run)
    general = _general_obstacle(run, evidence)
    for cell, planned in own_trials(plan).items():
        trials = evidence.trials_of(cell)
        series = Series(plan.device, plan.workload, plan.scenario, *cell)
        over = {one.block for one in planned if one.block <= evidence.whole_blocks}
        obstacle = general or _lost(trials, over, cell)
        yield series, Part(run, max(one.tenants for one in planned), trials, obstacle)


def _general_obstacle(run: StoredRun, evidence: RunEvidence) -> str | None:
    if strange := without_blocks(run.plan):
        return strange
    if not evidence.complete_looks():
        return reasons.no_look(run.plan, evidence.whole_blocks)
    return None


def _lost(trials: Sequence[TrialRecord], blocks: set[int], cell: Cell) -> str | None:
    valid = {trial.block for trial in trials if trial.status == "ok"}
    told = {trial.block: trial.reason or trial.status for trial in trials}
    whys = [
        f"{cell[1]}: {told.get(block, 'its line is missing or cannot be read')}" for block in sorted(blocks - valid)
    ]
    if found := lost_blocks(whys, len(blocks)):
        return found.reason
    return f"{len(valid)} valid blocks, and {FEWEST} are the least" if len(valid) < FEWEST else None


def unlike(part: Part, batches: set[int], tenants: set[int]) -> Part:
    """A base run's part, with the reason where the candidate measured something else: batches of other sizes, other
    numbers of tenants."""
    ours = batches_of([part])
    why = None
    if batches and ours and ours != batches:
        theirs, those = (" and ".join(map(str, sorted(sizes))) for sizes in (ours, batches))
        why = f"batches of {theirs} items, and the candidate's have {those}: only equal ones can be compared"
    elif {part.tenants} != tenants:
        why = f"{part.tenants} tenants against {' and '.join(map(str, sorted(tenants)))}"
    return replace(part, obstacle=part.obstacle or why)


def batches_of(parts: Sequence[Part]) -> set[int]:
    """Sizes, of all valid trials."""
    return {trial.batch_size for part in parts for trial in part.valid}


def tells(metric: Metric, run: StoredRun, base: Sequence[Part], candidate: Sequence[Part]) -> bool:
    """Whether all runs measure that, all through. What the candidate (`run`) was planned to measure is asked for in
    any case."""
    parts = [*base, *candidate]
    if metric == "p99":
        if run.plan.measures == "start_up":
            return False
        planned = run.plan.min_requests >= tail_needs(P99)
        return planned or (bool(parts) and all(part.fewest_requests() >= tail_needs(P99) for part in parts))
    if metric == "energy":
        lacking = (["no energy"] * (len(part.valid) - len(part.logs("energy"))) for part in parts)
        return bool(parts) and all(
            lost_blocks(whys, len(part.valid)) is None for whys, part in zip(lacking, parts, strict=True)
        )
    return True


def names(runs: Sequence[StoredRun]) -> str:
    """Of runs, the first ones by name."""
    left = len(runs) - MOST_NAMES
    return ", ".join(run.name for run in runs[:MOST_NAMES]) + (f" and {left} more" if left > 0 else "")
