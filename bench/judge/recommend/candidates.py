"""The measured configurations that could be deployed, with everything that is known of each. Pure.

A candidate is a cell in which every tenant runs the workload, as it would be deployed. Cells beside other neighbours,
alone in one of several slots, or with tenants named one by one are evidence on isolation; the second measurement of the
baseline and an older version that was measured for comparison are none either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

from bench.judge.evidence import RunEvidence, own_trials
from bench.judge.interference import Beside, interference
from bench.judge.loss import Loss, loss_of
from bench.judge.metrics import energy_per_item_j, fewest_requests
from bench.judge.recommend import figures
from bench.judge.recommend.deployment import Division
from bench.judge.recommend.figures import Figure, Value, figure
from bench.judge.recommend.levels import Separation, separation
from bench.judge.recommend.need import Need, Objective
from bench.judge.speedup import Cell
from bench.judge.tails import needed
from bench.records import SAME, Layout, PlannedTrial, TrialRecord
from bench.stored import StoredRun

CLASSES: Mapping[str, Division] = {
    "Full": "full", "MigShare": "mig", "MigProfiles": "mig", "Mps": "mps", "TimeShared": "time_shared",
    "Cpuset": "cpuset", "GreenContext": "green_context",
}  # fmt: skip
"""bench's own partitions by the class that their option names."""
CELL_MEMORY = "gpu_memory_peak_bytes"


@dataclass(frozen=True)
class Memory:
    """Of the device, all tenants together, in bytes; None: not known. On a CPU it is the host's."""

    used: int | None
    total: int | None


@dataclass(frozen=True)
class Candidate:
    """One cell. `kind` is None for a partition that is not bench's own. trials: valid ones, by block. lost: planned and
    over, and not valid, with their reasons. fewest_requests: of any process. energy_from: "measured", "stated" (by the
    need's watts) or "". beside: what neighbours cost on this division, where the run measured that."""

    run: StoredRun
    partition: str
    division: str
    isolation: str
    optimization: str
    kind: Division | None
    tenants: int
    batch_size: int | None
    trials: tuple[TrialRecord, ...]
    lost: tuple[str, ...]
    separation: Separation
    throughput: Figure | None
    tenant_throughput: Figure | None
    p50: Figure | None
    p99: Figure | None
    fewest_requests: int
    loss: Loss | None
    is_baseline: bool
    memory: Memory
    energy: Figure | None
    energy_from: str
    cost: Figure | None
    layout: Layout | None = None
    beside: tuple[Beside, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict, repr=False, compare=False)

    @property
    def cell(self) -> Cell:
        return self.partition, self.optimization

    @property
    def name(self) -> str:
        return f"{self.optimization} on {self.partition}"

    def figure(self, objective: Objective) -> Figure | None:
        """What is to be as little, or of throughput as much, as possible."""
        found = {"cost": self.cost, "energy": self.energy, "throughput": self.throughput, "latency": self.p99}
        return found[objective]

    @property
    def lost_share(self) -> float:
        blocks = len(self.trials) + len(self.lost)
        return len(self.lost) / blocks if blocks else 0.0

    @cached_property
    def memory_of_a_tenant(self) -> Memory:
        used, total = self.memory.used, self.memory.total
        return Memory(None if used is None else used // self.tenants, None if total is None else total // self.tenants)


def candidates(run: StoredRun, need: Need) -> list[Candidate]:
    """In the order of the plan's own table: the full device first."""
    evidence = RunEvidence(run)
    cells = {cell: planned for cell, planned in own_trials(run.plan).items() if planned[0].neighbours == SAME}
    neighbours = interference(run).beside
    ordered = sorted(cells, key=lambda c: (c[0] != "full", c[0], c[1] != run.plan.baseline, c[1]))
    return [_candidate(evidence, cells[cell], need, neighbours) for cell in ordered]


def kind_of(run: StoredRun, division: str) -> Division | None:
    """From the class that run.json names, otherwise from the option's own name."""
    node = partition_node(run, division)
    target = node.get("_target_")
    if isinstance(target, str):
        return CLASSES.get(target.rpartition(".")[2])
    if division.startswith("mig"):
        return "mig"
    return next((kind for kind in get_args(Division) if kind == division), None)


def partition_node(run: StoredRun, division: str) -> Mapping[str, Any]:
    """How the run's configuration describes a division; {} where it cannot be read."""
    config = run.description.get("config")
    partitions = config.get("partitions") if isinstance(config, dict) else None
    node = partitions.get(division) if isinstance(partitions, dict) else None
    return node if isinstance(node, dict) else {}


def device_node(run: StoredRun) -> Mapping[str, Any]:
    """What run.json tells of the device; {} where it cannot be read."""
    found = run.description.get("device")
    return found if isinstance(found, dict) else {}


def whole(value: Any) -> int | None:
    """A positive whole number out of a file that anybody may have written."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else None


def _candidate(
    evidence: RunEvidence, planned: Sequence[PlannedTrial], need: Need, neighbours: Sequence[Beside]
) -> Candidate:
    run, first = evidence.run, planned[0]
    trials = evidence.trials_of((first.partition, first.optimization))
    valid = tuple(trial for trial in trials if trial.status == "ok")
    kind = kind_of(run, first.division)
    measured = any(energy_per_item_j(trial) is not None for trial in valid)
    energy_value = figures.energy_j(need, measured)
    cost_value = figures.cost_per_million(need, energy_value)
    energy = figure(valid, energy_value)
    qualities = {trial.quality for trial in valid if trial.quality}
    (quality,) = qualities if len(qualities) == 1 else (None,)  # several: nobody knows which model is meant
    fewest = fewest_requests(valid)
    return Candidate(
        run=run,
        partition=first.partition,
        division=first.division,
        isolation=first.isolation,
        optimization=first.optimization,
        kind=kind,
        tenants=first.tenants,
        batch_size=trials[0].batch_size if trials else None,
        trials=valid,
        lost=_lost(evidence, planned, {trial.block: trial for trial in trials}),
        separation=separation(kind, first.isolation),
        throughput=figure(valid, figures.throughput_per_s),
        tenant_throughput=figure(valid, figures.slowest_tenant_per_s),
        p50=figure(valid, figures.longest_p50_ms) if fewest >= needed("p50") else None,
        p99=figure(valid, figures.longest_p99_ms) if fewest >= needed("p99") else None,
        fewest_requests=fewest,
        loss=loss_of(quality),
        is_baseline=quality is not None and quality.baseline == first.optimization,
        memory=_memory(run, first, valid),
        energy=energy,
        energy_from="" if energy is None else "measured" if measured else "stated",
        cost=figure(valid, cost_value),
        layout=run.plan.layouts.get(first.division),
        beside=tuple(
            row
            for row in neighbours
            if (row.division, row.isolation, row.optimization) == (first.division, first.isolation, first.optimization)
        ),
        values={
            "cost": cost_value,
            "energy": energy_value,
            "throughput": figures.throughput_per_s,
            "latency": figures.longest_p99_ms,
        },
    )


def _lost(evidence: RunEvidence, planned: Sequence[PlannedTrial], trials: Mapping[int, TrialRecord]) -> tuple[str, ...]:
    """Of the blocks that are over."""
    found = []
    for one in planned:
        trial = trials.get(one.block)
        if trial is None and one.block <= evidence.whole_blocks:
            found.append("its line is missing or cannot be read")
        elif trial is not None and trial.status != "ok":
            found.append(trial.reason or trial.status)
    return tuple(found)


def _memory(run: StoredRun, planned: PlannedTrial, valid: Sequence[TrialRecord]) -> Memory:
    on_a_gpu = run.plan.device_kind == "cuda"
    peaks = [trial.telemetry.get(CELL_MEMORY if on_a_gpu else "peak_rss_bytes") for trial in valid]
    told = [peak for peak in peaks if peak is not None and 0 < peak < 2**63]
    used = round(max(told)) if told else None
    if used is not None and not on_a_gpu:
        used *= planned.tenants  # of a process, and the largest of them
    return Memory(used, _total(run, planned, valid, on_a_gpu))


def _total(run: StoredRun, planned: PlannedTrial, valid: Sequence[TrialRecord], on_a_gpu: bool) -> int | None:
    layout = run.plan.layouts.get(planned.division)
    if layout and layout.instances:
        sizes = [instance.memory_bytes for instance in layout.instances]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None
    limits = [whole(trial.confinement.get("memory_limit_bytes")) for trial in valid[:1]]
    if not on_a_gpu and limits and limits[0]:
        return limits[0] * planned.tenants
    return whole(device_node(run).get("memory_bytes"))
