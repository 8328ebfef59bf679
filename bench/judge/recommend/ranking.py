"""Which of several candidates is ahead, by one number, and how sure that is. Pure.

Cells of one run need not have the same blocks: some are closed at the first look and others measured on, and any may
lose some to the gate. Their plain means differ by the blocks, too. So a cell's level is what it would have shown in the
average block of its run, by a sum of a part of the cell and a part of the block (least squares of the logarithms), and
a difference is only shown by pairs: by the blocks that both cells have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np

from bench.judge.arranged import logs, over
from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.need import LOWER_IS_BETTER, Objective
from bench.judge.speedup import LEVEL, SpeedUp
from bench.judge.statistics import Paired, ratio

MOST_ROUNDS = 1000
NEAR_ENOUGH = 1e-10


class Levels:
    """Of candidates, which may be of several runs. Runs share no blocks: their levels stand as they are."""

    def __init__(self, found: Sequence[Candidate]) -> None:
        self._found = list(found)
        self._known: dict[Objective, dict[int, float]] = {}

    def of(self, candidate: Candidate, objective: Objective) -> float | None:
        """In the unit of the objective's figure; None where it has none."""
        if objective not in self._known:
            self._known[objective] = self._levels(objective)
        return self._known[objective].get(id(candidate))

    def badness(self, candidate: Candidate, objective: Objective) -> float | None:
        """Of which less is better."""
        level = self.of(candidate, objective)
        return level if level is None or objective in LOWER_IS_BETTER else -level

    def may_be_ahead(self, one: Candidate, other: Candidate, objective: Objective) -> bool:
        """By their levels, or because nobody knows."""
        mine, theirs = self.badness(one, objective), self.badness(other, objective)
        return mine is None or theirs is None or mine < theirs

    def _levels(self, objective: Objective) -> dict[int, float]:
        levels: dict[int, float] = {}
        told = [candidate for candidate in self._found if candidate.figure(objective)]
        for run in {id(candidate.run): candidate.run for candidate in told}.values():
            cells = [candidate for candidate in told if candidate.run is run]
            means = levelled([_by_block(cell, objective) for cell in cells])
            levels |= {id(cell): ratio(mean) for cell, mean in zip(cells, means, strict=True)}
        return levels


def levelled(cells: Sequence[Mapping[int, float]]) -> list[float]:
    """The mean of each cell over all blocks that any of them has, as if it had been in all. Of cells that share no
    block with any other it is their plain mean."""
    cell = np.array([index for index, values in enumerate(cells) for _ in values], dtype=int)
    _, block = np.unique(np.array([number for values in cells for number in values]), return_inverse=True)
    value = np.array([told for values in cells for told in values.values()], dtype=float)
    in_cell, in_block = np.bincount(cell), np.bincount(block)
    of_block = np.zeros(len(in_block))
    of_cell = np.bincount(cell, value) / in_cell
    for _ in range(MOST_ROUNDS):
        of_block = np.bincount(block, value - of_cell[cell]) / in_block
        nearer = np.bincount(cell, value - of_block[block]) / in_cell
        done = bool(np.all(np.abs(nearer - of_cell) < NEAR_ENOUGH))
        of_cell = nearer
        if done:
            break
    return [float(mean) for mean in of_cell + of_block.mean()]


def pairs_level(candidates: int) -> float:
    """Of each interval, so that with 95 % all of them hold for whichever pair of so many candidates is looked at: the
    best was picked by its numbers, and could have been any."""
    return LEVEL / max(1, comb(candidates, 2))


def advantage(better: Candidate, other: Candidate, objective: Objective, level: float) -> SpeedUp | None:
    """How many times better one is by the objective, above 1, paired by block, with the interval of that level; None
    where they share no block."""
    if better.run is not other.run:
        return None
    first, second = (_by_block(candidate, objective) for candidate in (better, other))
    found = over(second, first) if objective in LOWER_IS_BETTER else over(first, second)
    if not found:
        return None
    paired = Paired.of(list(found.values()))
    low, high = paired.interval(level) or (None, None)
    return SpeedUp(
        ratio(paired.mean), None if low is None else ratio(low), None if high is None else ratio(high), paired.pairs
    )


def best_of(candidates: Sequence[Candidate], objective: Objective, levels: Levels) -> Candidate | None:
    """That of the best level, unless another is shown to be ahead of it. Where each is behind some other, which pairs
    of different blocks can bring about, that of the best level."""
    level = pairs_level(len(candidates))
    ranked = sorted(candidates, key=lambda candidate: levels.badness(candidate, objective) or 0.0)

    def is_behind(one: Candidate) -> bool:
        found = (advantage(other, one, objective, level) for other in ranked if other is not one)
        return any(item is not None and item.low is not None and item.low > 1 for item in found)

    return next((one for one in ranked if not is_behind(one)), ranked[0] if ranked else None)


def is_tied(found: SpeedUp | None) -> bool:
    """No difference is shown; without a block in common there is none in which it could be."""
    return found is None or found.low is None or found.high is None or found.low <= 1 <= found.high


def _by_block(candidate: Candidate, objective: Objective) -> dict[int, float]:
    return logs({trial.block: trial for trial in candidate.trials}, candidate.values[objective])
