"""What a run can say about claims, block by block. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.claims import Claim, Metric
from bench.judge.contrasts import Contrast, Contrasts
from bench.judge.loss import Loss, loss_of
from bench.judge.metrics import P99, fewest_requests, tail_needs
from bench.judge.noise import Floor
from bench.judge.speedup import Cell, Cells, by_cell, differences
from bench.judge.statistics import Paired
from bench.records import Plan, PlannedTrial, TrialRecord
from bench.stored import StoredRun

NO_SPEED: Mapping[Metric, str] = {
    "throughput": "no throughput",
    "start_up": "no start-up time",
    "p99": f"a p99 needs {tail_needs(P99)} requests in each process (protocol=publish takes that many)",
}
"""Why a valid trial says nothing."""


@dataclass(frozen=True)
class Pairs:
    """The pairs of a contrast up to some block: their differences, and the blocks that were lost to the gate."""

    differences: Mapping[int, float]
    lost: Mapping[int, str]

    @property
    def lost_share(self) -> float:
        blocks = len(self.differences) + len(self.lost)
        return len(self.lost) / blocks if blocks else 0.0

    @property
    def last_block(self) -> int:
        """Of those planned for both; contrasts that are closed stop before others. 0 without any."""
        return max((*self.differences, *self.lost), default=0)

    @cached_property
    def paired(self) -> Paired | None:
        return Paired.of(list(self.differences.values())) if self.differences else None


def own_trials(plan: Plan) -> dict[Cell, list[PlannedTrial]]:
    """What is planned of the version that a run is about: no older version that it is measured against, and no second
    measurement of its baseline."""
    found: dict[Cell, list[PlannedTrial]] = {}
    for planned in plan.trials:
        if planned.isolation not in plan.against and planned.optimization != plan.again:
            found.setdefault((planned.partition, planned.optimization), []).append(planned)
    return found


class RunEvidence:
    """A run, indexed once."""

    def __init__(self, run: StoredRun) -> None:
        self.run = run
        self.plan: Plan = run.plan
        self._cells: Cells = by_cell(run.trials)
        self._planned: dict[Cell, dict[int, PlannedTrial]] = {}
        for planned in run.plan.trials:
            self._planned.setdefault((planned.partition, planned.optimization), {})[planned.block] = planned
        self.whole_blocks = self._whole_blocks()
        self.contrasts = Contrasts(run.plan)

    def complete_looks(self) -> list[int]:
        """The looks that the run has reached, in order; none without a level to judge at, nor where another tool
        measured, whatever its plan says."""
        if self.plan.look_level is None or self.plan.imported:
            return []
        return [look for look in self.plan.looks if look <= self.whole_blocks]

    def pairs(self, contrast: Contrast, blocks: int) -> Pairs:
        """Up to and with block number `blocks`. A block that the run has not finished yet is not lost."""
        found = differences(self._cells, contrast.treatment, contrast.baseline, contrast.metric)
        if contrast.solo:
            alone = differences(self._cells, *contrast.solo, contrast.metric)
            found = {block: found[block] - alone[block] for block in sorted(found.keys() & alone)}
        planned = set.intersection(*(set(self._planned[cell]) for cell in contrast.cells))
        over = min(blocks, self.whole_blocks)
        lost = {
            block: self._reason(contrast, block) for block in sorted(planned) if block <= over and block not in found
        }
        return Pairs({block: value for block, value in found.items() if block <= blocks}, lost)

    def fewest_requests(self, contrast: Contrast, blocks: int) -> int:
        """Of any process in any valid trial that the contrast rests on, up to block `blocks`."""
        trials = (t for cell in contrast.cells for b, t in self._cells.get(cell, {}).items() if b <= blocks)
        return fewest_requests(t for t in trials if t.status == "ok")

    def batch_sizes(self, contrast: Contrast) -> set[int]:
        """Of all trials that the contrast rests on."""
        return {trial.batch_size for cell in contrast.cells for trial in self._cells.get(cell, {}).values()}

    def paired(self, cell: Cell, reference: Cell) -> Paired | None:
        """Any cell against any other, over all blocks in which both are valid."""
        found = differences(self._cells, cell, reference)
        return Paired.of(list(found.values())) if found else None

    def loss(self, contrast: Contrast, claim: Claim) -> Loss | None:
        """Quality loss of the treatment. It is counted against the baseline of the run; where that is neither the
        claim's nor the contrast's, nothing is known."""
        trials = self._cells.get(contrast.treatment, {}).values()
        qualities = {trial.quality for trial in trials if trial.quality}
        if len(qualities) != 1:  # several: not all trials ran the same model, and nobody knows which one is meant
            return None
        (quality,) = qualities
        return loss_of(quality) if quality.baseline in (claim.baseline, contrast.baseline[1]) else None

    def floor(self, partition: str, blocks: int) -> Floor | None:
        """The noise floor of a partition, up to block `blocks`; None where fewer than two blocks measured it."""
        again = self.plan.again
        if again is None:
            return None
        found = differences(self._cells, (partition, again), (partition, self.plan.baseline))
        values = [value for block, value in found.items() if block <= blocks]
        return Floor(partition, Paired.of(values)) if len(values) > 1 else None

    def partitions(self) -> list[str]:
        """Of the plan; the full device first."""
        return sorted({cell[0] for cell in self._planned}, key=lambda name: (name != "full", name))

    def tenants(self, partition: str) -> int:
        """How many tenants share the device on this partition."""
        return next(trial.tenants for trial in self.plan.trials if trial.partition == partition)

    def over(self, cell: Cell, blocks: int | None = None) -> list[int]:
        """Planned blocks of a cell that are over, up to and with number `blocks`."""
        last = self.whole_blocks if blocks is None else min(blocks, self.whole_blocks)
        return [block for block in sorted(self._planned[cell]) if block <= last]

    def trials_of(self, cell: Cell) -> Sequence[TrialRecord]:
        """The finished trials of a cell, by block."""
        return [trial for _, trial in sorted(self._cells.get(cell, {}).items())]

    # --- inside ---

    def _whole_blocks(self) -> int:
        """Blocks that are over. Trials are measured in their order, so one that is missing before the last that is
        finished was lost (its line cannot be read, say), and one after it is still to come."""
        finished = {trial.id for trial in self.run.trials}
        reached = max((number for number, t in enumerate(self.plan.trials) if t.id in finished), default=-1)
        to_come = self.plan.trials[reached + 1 :]
        return to_come[0].block - 1 if to_come else self.plan.blocks

    def _reason(self, contrast: Contrast, block: int) -> str:
        for cell in contrast.cells:
            trial = self._cells.get(cell, {}).get(block)
            name = " on ".join(reversed(cell)) if contrast.treatment[0] != contrast.baseline[0] else cell[1]
            if trial is None:
                return f"{name}: its line is missing or cannot be read"
            if trial.status != "ok":
                return f"{name}: {trial.reason or trial.status}"
        return NO_SPEED[contrast.metric]
