"""What a run can say about claims: which cells contrast with which, block by block. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from bench.claims import Claim
from bench.judge.loss import Loss, loss_of
from bench.judge.noise import Floor
from bench.judge.speedup import Cell, Cells, by_cell, differences
from bench.judge.statistics import Paired
from bench.records import ALL, Plan, PlannedTrial, TrialRecord
from bench.stored import StoredRun

Role = Literal["claimed", "same_runtime"]
"""claimed: the baseline that the claim names. same_runtime: the unchanged fp32 model in the treatment's own runtime."""


@dataclass(frozen=True)
class Contrast:
    """One treatment against one baseline of a run, for one claim."""

    claim: str
    role: Role
    treatment: Cell
    baseline: Cell

    @property
    def partition(self) -> str:
        return self.treatment[0]

    @property
    def optimization(self) -> str:
        return self.treatment[1]

    @property
    def claims_optimization(self) -> bool:
        """Whether it is optimizations that are set against each other, and not partitions."""
        return self.baseline[0] == self.treatment[0]

    @property
    def baseline_name(self) -> str:
        """The part of the baseline that differs from the treatment."""
        return self.baseline[1] if self.claims_optimization else self.baseline[0]


@dataclass(frozen=True)
class Unheld:
    """A treatment that the run was asked about, or could have been, and that has no contrast: with the reason."""

    claim: str
    partition: str | None
    optimization: str | None
    baseline: str | None
    reason: str


@dataclass(frozen=True)
class Pairs:
    """The pairs of a contrast up to some block: their differences, and the blocks that were lost to the gate."""

    differences: Mapping[int, float]
    lost: Mapping[int, str]

    @property
    def lost_share(self) -> float:
        blocks = len(self.differences) + len(self.lost)
        return len(self.lost) / blocks if blocks else 0.0

    @cached_property
    def paired(self) -> Paired | None:
        return Paired.of(list(self.differences.values())) if self.differences else None


class RunEvidence:
    """A run, indexed once."""

    def __init__(self, run: StoredRun) -> None:
        self.run = run
        self.plan: Plan = run.plan
        self._cells: Cells = by_cell(run.trials)
        self._planned: dict[Cell, dict[int, PlannedTrial]] = {}
        for planned in run.plan.trials:
            self._planned.setdefault((planned.partition, planned.optimization), {})[planned.block] = planned

    def complete_looks(self) -> list[int]:
        """The looks whose planned trials are all finished, in order; none without a level to judge at."""
        if self.plan.look_level is None:
            return []
        finished = {trial.id for trial in self.run.trials}
        open_blocks = [trial.block for trial in self.plan.trials if trial.id not in finished]
        whole = min(open_blocks) - 1 if open_blocks else self.plan.blocks
        return [look for look in self.plan.looks if look <= whole]

    def contrasts(self, claims: Mapping[str, Claim]) -> list[Contrast]:
        """Every treatment of every claim against its baselines, as far as both were planned."""
        return [contrast for name, claim in claims.items() if claim.measurable for contrast in self._of(name, claim)]

    def unheld(self, claims: Mapping[str, Claim]) -> list[Unheld]:
        """Treatments of the claims that are infeasible here, or whose claimed baseline was not measured."""
        return [item for name, claim in claims.items() if claim.measurable for item in self._unheld(name, claim)]

    def pairs(self, contrast: Contrast, blocks: int) -> Pairs:
        """Up to and with block number `blocks`."""
        found = differences(self._cells, contrast.treatment, contrast.baseline)
        planned = self._planned[contrast.treatment].keys() & self._planned[contrast.baseline]
        lost = {
            block: self._reason(contrast, block) for block in sorted(planned) if block <= blocks and block not in found
        }
        return Pairs({block: value for block, value in found.items() if block <= blocks}, lost)

    def loss(self, contrast: Contrast) -> Loss | None:
        """Quality loss of the treatment. It is counted against the baseline of the run: where a claim names another
        optimization as its baseline, nothing is known about the loss against that."""
        trials = self._cells.get(contrast.treatment, {}).values()
        quality = next((trial.quality for trial in trials if trial.quality), None)
        named = contrast.baseline[1] if contrast.role == "claimed" and contrast.claims_optimization else None
        return loss_of(quality) if quality and named in (None, quality.baseline) else None

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

    def trials_of(self, cell: Cell) -> Sequence[TrialRecord]:
        """The finished trials of a cell, by block."""
        return [trial for _, trial in sorted(self._cells.get(cell, {}).items())]

    # --- inside ---

    def _of(self, name: str, claim: Claim) -> Iterator[Contrast]:
        for cell in sorted(self._planned):
            partition, optimization = cell
            if optimization == self.plan.again:
                continue
            if claim.contrast == "partition":
                reference = (claim.baseline, optimization)
                if claim.treats(partition) and partition != claim.baseline and reference in self._planned:
                    yield Contrast(name, "claimed", cell, reference)
            elif claim.treats(optimization) and optimization != claim.baseline:
                same = self.plan.same_runtime.get(optimization)
                if (partition, claim.baseline) in self._planned:
                    yield Contrast(name, "claimed", cell, (partition, claim.baseline))
                if same and same != claim.baseline and (partition, same) in self._planned:
                    yield Contrast(name, "same_runtime", cell, (partition, same))

    def _unheld(self, name: str, claim: Claim) -> Iterator[Unheld]:
        for item in self.plan.infeasible:
            treated = item.partition if claim.contrast == "partition" else item.optimization
            if treated != ALL and claim.treats(treated):
                partition = None if item.partition == ALL else item.partition
                optimization = None if item.optimization == ALL else item.optimization
                yield Unheld(name, partition, optimization, claim.baseline, f"infeasible: {item.reason}")
        for cell in sorted(self._planned):
            treated = cell[0] if claim.contrast == "partition" else cell[1]
            reference = (claim.baseline, cell[1]) if claim.contrast == "partition" else (cell[0], claim.baseline)
            is_treatment = claim.treats(treated) and treated != claim.baseline and cell[1] != self.plan.again
            if is_treatment and reference not in self._planned:
                reason = f"the claimed baseline {claim.baseline} was not measured beside it"
                yield Unheld(name, *cell, claim.baseline, reason)

    def _reason(self, contrast: Contrast, block: int) -> str:
        for cell in (contrast.treatment, contrast.baseline):
            trial = self._cells.get(cell, {}).get(block)
            if trial is None:
                return f"{cell[1]}: not measured"
            if trial.status != "ok":
                return f"{cell[1]}: {trial.reason or trial.status}"
        return "no throughput"
