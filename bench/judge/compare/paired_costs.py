"""What two versions cost in the same blocks: pairs by metric, and what keeps them from being judged. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench.judge.compare import telling
from bench.judge.compare.comparison import FEWEST, Metric, Obstacle, cost
from bench.judge.compare.lost import Losses, broke, lost_blocks
from bench.judge.compare.sides import Sided, Sides
from bench.judge.contrasts import Contrast
from bench.judge.evidence import Pairs, RunEvidence
from bench.judge.speedup import Cell

NO_ENERGY = "told no energy"


@dataclass(frozen=True)
class Asked:
    """A series, and a metric by which it is compared."""

    sides: Sides
    metric: Metric
    threshold: float

    @property
    def contrast(self) -> Contrast:
        """Of what all metrics need: blocks in which both sides are valid."""
        metric = self.metric if self.metric in ("p99", "start_up") else "throughput"
        return Contrast("", "claimed", self.sides.candidate, self.sides.base, metric)

    @property
    def margin(self) -> float:
        return math.log1p(self.threshold)


class PairedCosts:
    """Of one run and its two sides."""

    def __init__(self, evidence: RunEvidence, sided: Sided) -> None:
        self._evidence = evidence
        self._plan = evidence.plan
        self._sided = sided

    def asks(self, sides: Sides, metric: Metric) -> bool:
        """By the plan and the base alone, at the first look: what is asked stays asked."""
        first = self._plan.looks[0] if self._plan.looks else self._plan.blocks
        base = [t for t in self._evidence.trials_of(sides.base) if t.status == "ok" and t.block <= first]
        return telling.asked(metric, self._plan, [base])

    def pairs(self, asked: Asked, blocks: int) -> Pairs:
        """Slow-downs by block. A block in which a side does not tell an energy is lost to that metric."""
        found = self._evidence.pairs(asked.contrast, blocks)
        if asked.metric != "energy":
            return Pairs({block: -speed_up for block, speed_up in found.differences.items()}, found.lost)
        candidate, base = (self._energies(cell) for cell in asked.contrast.cells)
        both = [block for block in found.differences if block in candidate and block in base]
        untold = {
            block: f"the {'base' if block in candidate else 'candidate'} {NO_ENERGY}"
            for block in found.differences
            if block not in both
        }
        return Pairs({block: candidate[block] - base[block] for block in both}, {**found.lost, **untold})

    def gaps(self, asked: Asked) -> Iterator[str]:
        """Blocks that only this metric lost, in words."""
        pairs = self.pairs(asked, self._plan.blocks)
        gaps = Counter(why for why in pairs.lost.values() if why.endswith(NO_ENERGY))
        yield from (f"{why} in {count} blocks" for why, count in gaps.items())

    def losses(self, sides: Sides, look: int | None = None) -> tuple[Losses, Losses]:
        """Of the candidate and of the base, up to a look; None: in all."""
        candidate, base = (
            Losses.of(self._evidence.over(cell, look), self._evidence.trials_of(cell))
            for cell in (sides.candidate, sides.base)
        )
        return candidate, base

    def _energies(self, cell: Cell) -> dict[int, float]:
        trials = self._evidence.trials_of(cell)
        return {trial.block: found for trial in trials if (found := cost(trial, "energy")) is not None}

    def obstacle(self, asked: Asked, pairs: Pairs, look: int) -> Obstacle | None:
        """What keeps it from being judged at a look, which has these `pairs`."""
        candidate, base = self.losses(asked.sides, look)
        lost = list(pairs.lost.values())
        if found := broke(candidate, [base]) or lost_blocks(lost, len(lost) + len(pairs.differences)):
            return found
        if len(pairs.differences) < FEWEST:
            count = len(pairs.differences)
            return Obstacle(f"{count} valid pairs of blocks, and {FEWEST} are the least", FEWEST - count)
        if asked.metric == "p99":
            if few := telling.too_few_requests(self._evidence.fewest_requests(asked.contrast, look)):
                return few
            if len(sizes := sorted(self._evidence.batch_sizes(asked.contrast))) > 1:
                return Obstacle(f"p99 of requests of {' and '.join(map(str, sizes))} items: only equal ones compare")
        ours, theirs = (self._sided.tenants(cell) for cell in asked.contrast.cells)
        return Obstacle(f"{ours} tenants against {theirs}") if ours != theirs else None
