"""Which cells of a plan contrast with which for a claim, and which treatments have nothing to contrast with. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from bench.claims import Claim, Metric
from bench.judge.metrics import P99, tail_needs
from bench.judge.speedup import Cell
from bench.records import ALL, ALONE, SAME, Plan

Role = Literal["claimed", "same_runtime"]
"""claimed: the baseline that the claim names. same_runtime: the unchanged fp32 model in the treatment's own runtime."""


@dataclass(frozen=True)
class Contrast:
    """One treatment against one baseline of a run, for one claim.

    solo: where the claim is about neighbours, both with nobody beside them: what is compared is then how much of its
        speed alone each keeps."""

    claim: str
    role: Role
    treatment: Cell
    baseline: Cell
    metric: Metric = "throughput"
    solo: tuple[Cell, Cell] | None = None

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

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All that it rests on."""
        return (self.treatment, self.baseline, *(self.solo or ()))


@dataclass(frozen=True)
class Unheld:
    """A treatment that the run was asked about, or could have been, and that has no contrast: with the reason."""

    claim: str
    partition: str | None
    optimization: str | None
    baseline: str | None
    reason: str


class Side(NamedTuple):
    """The parts of a cell's partition."""

    division: str
    isolation: str
    neighbours: str


class Contrasts:
    """Of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cells = {(trial.partition, trial.optimization) for trial in plan.trials}
        self._sides = {
            trial.partition: Side(trial.division, trial.isolation, trial.neighbours) for trial in plan.trials
        }
        self._partitions = {side: partition for partition, side in self._sides.items()}

    def division(self, partition: str) -> str:
        return self._sides[partition].division

    def of(self, claims: Mapping[str, Claim]) -> list[Contrast]:
        """Every treatment of every claim against its baselines, as far as all of it was planned."""
        return [
            contrast
            for name, claim in claims.items()
            if claim.measurable
            for metric in claim.metrics
            if self._measures(metric)
            for contrast in self._of(name, claim, metric)
        ]

    def unheld(self, claims: Mapping[str, Claim]) -> list[Unheld]:
        """Treatments of the claims that are infeasible here, or whose claimed baseline was not measured."""
        return [
            item
            for name, claim in claims.items()
            if claim.measurable and any(map(self._measures, claim.metrics))
            for item in (
                *self._infeasible(name, claim),
                *self._without_baseline(name, claim),
                *self._without_tails(name, claim),
            )
        ]

    # --- inside ---

    def _measures(self, metric: Metric) -> bool:
        """Whether the run does, by its scenario and protocol."""
        if metric == "p99" and self._plan.min_requests < tail_needs(P99):
            return False
        return (metric == "start_up") == (self._plan.measures == "start_up")

    def _treatments(self, claim: Claim) -> Iterator[tuple[Cell, Cell | None]]:
        """Each treatment of the claim, and the claimed baseline beside it where that is in the plan."""
        for cell in sorted(self._cells):
            side = self._sides[cell[0]]
            treated = _varied(claim, side, cell[1])
            if cell[1] == self._plan.again or not claim.treats(treated) or treated == claim.baseline:
                continue
            if claim.beside and not _among(side.neighbours, claim.beside):
                continue
            if claim.contrast != "optimization" and not claim.beside and side.neighbours != SAME:
                continue
            if claim.divisions and not any(fnmatchcase(side.division, pattern) for pattern in claim.divisions):
                continue
            yield cell, self._baseline(claim, side, cell[1])

    def _baseline(self, claim: Claim, side: Side, optimization: str) -> Cell | None:
        if claim.contrast == "optimization":
            return self._known(side, claim.baseline)
        part = "division" if claim.contrast == "partition" else "isolation"
        return self._known(side._replace(**{part: claim.baseline}), optimization)

    def _known(self, side: Side, optimization: str) -> Cell | None:
        partition = self._partitions.get(side)
        cell = (partition, optimization) if partition else None
        return cell if cell in self._cells else None

    def _of(self, name: str, claim: Claim, metric: Metric) -> Iterator[Contrast]:
        for cell, baseline in self._treatments(claim):
            references: list[tuple[Role, Cell | None]] = [("claimed", baseline)]
            if claim.contrast == "optimization":
                same = self._plan.same_runtime.get(cell[1])
                if same and same != claim.baseline:
                    references.append(("same_runtime", self._known(self._sides[cell[0]], same)))
            for role, reference in references:
                if reference is None:
                    continue
                if not claim.beside:
                    yield Contrast(name, role, cell, reference, metric)
                    continue
                treated, held = self._alone(cell), self._alone(reference)
                if treated and held:
                    yield Contrast(name, role, cell, reference, metric, (treated, held))

    def _alone(self, cell: Cell) -> Cell | None:
        return self._known(self._sides[cell[0]]._replace(neighbours=ALONE), cell[1])

    def _infeasible(self, name: str, claim: Claim) -> Iterator[Unheld]:
        """Of arrangements that differ only in who is beside them, one."""
        told: set[tuple[str, str]] = set()
        for item in self._plan.infeasible:
            division = item.division or item.partition
            treated = {"optimization": item.optimization, "partition": division, "isolation": item.isolation}
            if item.telemetry or treated[claim.contrast] == ALL or not claim.treats(treated[claim.contrast]):
                continue
            partition = division if claim.contrast == "partition" else item.partition
            if (partition, item.reason) in told:
                continue
            told.add((partition, item.reason))
            optimization = None if item.optimization == ALL else item.optimization
            reason = f"infeasible: {item.reason}"
            yield Unheld(name, None if partition == ALL else partition, optimization, claim.baseline, reason)

    def _without_baseline(self, name: str, claim: Claim) -> Iterator[Unheld]:
        found = list(self._treatments(claim))
        if claim.beside and not found:
            beside = " or ".join(claim.beside).replace("*", "any")
            for partition, optimization in sorted(self._cells):
                side = self._sides[partition]
                if side.neighbours == SAME and claim.treats(_varied(claim, side, optimization)):
                    reason = f"measured without a neighbour ({beside}) beside it: 'neighbours=[alone,compute_hog]'"
                    yield Unheld(name, partition, optimization, claim.baseline, reason)
        for cell, baseline in found:
            if baseline is None:
                yield Unheld(name, *cell, claim.baseline, self._no_baseline(claim.baseline))
            elif claim.beside and not (self._alone(cell) and self._alone(baseline)):
                yield Unheld(name, *cell, claim.baseline, "not measured alone as well: add alone to neighbours=[...]")

    def _without_tails(self, name: str, claim: Claim) -> Iterator[Unheld]:
        if "p99" not in claim.metrics or self._measures("p99"):
            return
        needs = tail_needs(P99)
        for cell, baseline in self._treatments(claim):
            if baseline is not None:
                reason = f"a p99 needs {needs} requests in each process, which protocol=publish asks for"
                yield Unheld(name, *cell, claim.baseline, reason)

    def _no_baseline(self, name: str) -> str:
        for item in self._plan.infeasible:
            if name in (item.partition, item.optimization, item.division, item.isolation):
                return f"the claimed baseline {name} is infeasible: {item.reason}"
        return f"the claimed baseline {name} was not measured beside it"


def _varied(claim: Claim, side: Side, optimization: str) -> str:
    """The part of a cell that the claim sets against its baseline."""
    return {"optimization": optimization, "partition": side.division, "isolation": side.isolation}[claim.contrast]


def _among(neighbours: str, patterns: tuple[str, ...]) -> bool:
    return neighbours not in (ALONE, SAME) and any(fnmatchcase(neighbours, pattern) for pattern in patterns)
