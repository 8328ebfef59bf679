"""The two sides of a run that was planned with --against: which cells belong together, and which stand alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.judge.compare.lacking import why_not
from bench.judge.speedup import Cell
from bench.records import ALL, Plan, PlannedTrial


@dataclass(frozen=True)
class Sides:
    """One series: the cell of the candidate, and that of the base version, which differs in its isolation alone."""

    candidate: Cell
    base: Cell
    isolation: str
    base_isolation: str


@dataclass(frozen=True)
class Lacking:
    """A cell without its counterpart in the isolation `counterpart`, and why there is none."""

    cell: Cell
    isolation: str
    counterpart: str
    reason: str


class Sided:
    """Of one plan. `both`: the cells that both versions measure; a second measurement of the baseline is none."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts = {trial.partition: trial for trial in plan.trials}
        cells = {(trial.partition, trial.optimization) for trial in plan.trials if trial.optimization != plan.again}
        self._cells = sorted(cells)
        self.both = list(self._matched())

    def tenants(self, cell: Cell) -> int:
        return self._parts[cell[0]].tenants

    def without_candidate(self) -> Iterator[Lacking]:
        """Cells that the base version alone measures."""
        return self._lacking(self._plan.against, {sides.base for sides in self.both})

    def without_base(self) -> Iterator[Lacking]:
        """Cells that the candidate alone measures."""
        origins = {candidate: base for base, candidate in self._plan.against.items()}
        return self._lacking(origins, {sides.candidate for sides in self.both})

    def _matched(self) -> Iterator[Sides]:
        names = {(part.division, part.isolation, part.neighbours): name for name, part in self._parts.items()}
        for base_isolation, isolation in self._plan.against.items():
            for partition, optimization in self._cells:
                part = self._parts[partition]
                base = (names.get((part.division, base_isolation, part.neighbours), ""), optimization)
                if part.isolation == isolation and base in self._cells:
                    yield Sides((partition, optimization), base, isolation, base_isolation)

    def _lacking(self, counterparts: Mapping[str, str], matched: set[Cell]) -> Iterator[Lacking]:
        for cell in self._cells:
            part = self._parts[cell[0]]
            if part.isolation in counterparts and cell not in matched:
                other = counterparts[part.isolation]
                yield Lacking(cell, part.isolation, other, self._why_not(part, cell[1], other))

    def _why_not(self, part: PlannedTrial, optimization: str, isolation: str) -> str:
        return why_not(
            item
            for item in self._plan.infeasible
            if item.partition == ALL or (item.division, item.isolation) == (part.division, isolation)
            if item.optimization in (ALL, optimization)
        )
