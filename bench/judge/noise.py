"""The noise floor: what this machine, on this partition, calls a difference where there is none."""

from __future__ import annotations

from dataclasses import dataclass

from bench.judge.speedup import LEVEL, SpeedUp
from bench.judge.statistics import Paired, ratio


@dataclass(frozen=True)
class Floor:
    """The baseline against itself: `paired` are its differences (logarithms), over blocks of one partition."""

    partition: str
    paired: Paired

    @property
    def again(self) -> SpeedUp:
        """The ratio of the two with its 95 % interval; 1 is the truth."""
        return SpeedUp.of(self.paired)

    @property
    def reach(self) -> float:
        """How far that interval reaches from no difference, as a logarithm: a bias counts as much as a spread."""
        low, high = self.paired.interval(LEVEL) or (0.0, 0.0)
        return max(abs(low), abs(high))

    @property
    def share(self) -> float:
        """The same as a share: 0.05 means that differences below 5 % are noise here."""
        return ratio(self.reach) - 1

    @property
    def differs(self) -> bool:
        """The interval misses 1: once in twenty by chance; more often, something treats the two unlike."""
        low, high = self.paired.interval(LEVEL) or (0.0, 0.0)
        return not low <= 0 <= high
