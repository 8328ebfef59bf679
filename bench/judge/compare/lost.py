"""Blocks that a comparison lost: how many are too many, and which side lost them, and why. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.judge import reasons
from bench.judge.compare.comparison import Obstacle
from bench.judge.verdicts import LASTING_LOSS, LOST_LIMIT
from bench.records import TrialRecord

MOST_KINDS = 3
"""Reasons that are told, of those for which blocks were lost."""


@dataclass(frozen=True)
class Losses:
    """Of one side: blocks that are over, and for each one that was lost why; apart, those in which it broke."""

    blocks: int
    failed: Sequence[str]
    others: Sequence[str]

    @classmethod
    def of(cls, over: Iterable[int], trials: Iterable[TrialRecord]) -> Losses:
        """`over`: the planned blocks that are over."""
        blocks, told = sorted(over), {trial.block: trial for trial in trials}
        found = [(block, told.get(block)) for block in blocks]
        unread = ["its line is missing or cannot be read"] * sum(trial is None for _, trial in found)
        records = [trial for _, trial in found if trial]
        failed, invalid = (
            [f"{trial.status}: {trial.reason or 'no reason told'}" for trial in records if trial.status == status]
            for status in ("failed", "invalid")
        )
        return cls(len(blocks), failed, [*invalid, *unread])

    @classmethod
    def together(cls, several: Sequence[Losses]) -> Losses:
        """Of some runs."""
        return cls(
            sum(one.blocks for one in several),
            [why for one in several for why in one.failed],
            [why for one in several for why in one.others],
        )

    @property
    def whys(self) -> Sequence[str]:
        return [*self.failed, *self.others]

    @property
    def failed_share(self) -> float:
        return len(self.failed) / self.blocks if self.blocks else 0.0

    def __str__(self) -> str:
        if not self.whys:
            return f"none of {self.blocks}"
        kinds: dict[str, list[str]] = {}
        for why in self.whys:
            kinds.setdefault(reasons.without_numbers(why), []).append(why)
        most = sorted(kinds.values(), key=len, reverse=True)[:MOST_KINDS]
        return f"{len(self.whys)} of {self.blocks} ({', '.join(f'{len(alike)} {alike[0]}' for alike in most)})"


def lost_blocks(whys: Sequence[str], blocks: int) -> Obstacle | None:
    """None while at most a fifth of `blocks` is lost; `whys`: for each lost one the reason. More blocks may help while
    at most half are lost."""
    if not blocks or len(whys) / blocks <= LOST_LIMIT:
        return None
    passing = len(whys) / blocks <= LASTING_LOSS
    return Obstacle(reasons.lost(whys, blocks), math.ceil(len(whys) / LOST_LIMIT) - blocks if passing else None)


def broke(candidate: Losses, base: Sequence[Losses]) -> Obstacle | None:
    """Where the candidate breaks more often than any run of the base: what was left of it is no evidence that it may
    pass, and more blocks mend nothing."""
    worst = max(base, key=lambda side: side.failed_share, default=Losses(0, (), ()))
    if candidate.failed_share <= worst.failed_share:
        return None
    said = (
        f"{len(candidate.failed)} of {candidate.blocks} blocks, and the base in {len(worst.failed)} of {worst.blocks}"
    )
    return Obstacle(f"the candidate broke in {said}: {candidate.failed[0].removeprefix('failed: ')}")


def by_side(candidate: Losses, base: Losses) -> str | None:
    """What each side lost, in words; None where neither lost any."""
    return f"blocks lost by the candidate {candidate}, by the base {base}" if candidate.whys or base.whys else None
