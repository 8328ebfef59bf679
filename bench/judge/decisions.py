"""From differences to decisions: p-values of what could be said of a claim, and Holm's correction. Pure.

What is decided on speed and on quality is decided together, so that one level holds for both (docs/method.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.claims import Claim
from bench.judge.loss import Loss
from bench.judge.statistics import Paired, pairs_needed, ratio

Word = Literal["confirmed", "exceeded", "refuted", "inconclusive", "invalid", "not_testable"]
DECIDED: tuple[Word, ...] = ("confirmed", "exceeded", "refuted")


@dataclass(frozen=True)
class Judged:
    """The two-sided level at which a verdict was tried, after looks and Holm, and the interval at that level."""

    level: float
    low: float
    high: float

    @classmethod
    def of(cls, paired: Paired | None, level: float) -> Judged | None:
        """None below two pairs."""
        interval = paired.interval(level) if paired else None
        return cls(level, ratio(interval[0]), ratio(interval[1])) if interval else None


def log_band(claim: Claim) -> tuple[float, float]:
    """The claimed band as logarithms."""
    low, high = (math.log(bound) if bound > 0 else -math.inf for bound in claim.band)
    return low, high


def decisions(paired: Paired, claim: Claim, loss: Loss | None) -> dict[Word, float]:
    """One-sided p-value of each verdict, from speed and, where the claim bounds it, quality.

    Both must hold to confirm, so the greater p-value counts. Either refutes, so the smaller one does, doubled because
    there are two ways to be wrong."""
    inside, above, below = _speed(paired, claim)
    margin = claim.quality_loss_below
    if margin is None:
        return {"confirmed": inside, "exceeded": above, "refuted": below}
    within = loss.p_within(margin) if loss else 1.0
    beyond = loss.p_beyond(margin) if loss else 1.0
    refuted = min(1.0, _ways(claim, loss) * min(below, beyond))
    return {"confirmed": max(inside, within), "exceeded": max(above, within), "refuted": refuted}


def more_blocks(paired: Paired | None, claim: Claim, level: float, loss: Loss | None) -> int | None:
    """How many more pairs would probably decide an open verdict. None where pairs would not help: the speed is clear,
    and it is the quality that is not."""
    if paired is None or paired.pairs < 2:
        return 2
    inside, above, below = _speed(paired, claim)
    if min(inside, above, _ways(claim, loss) * below) <= level / 2:
        return None
    distance = min(abs(paired.mean - bound) for bound in log_band(claim) if math.isfinite(bound))
    return max(1, pairs_needed(paired.sd, distance, level) - paired.pairs)


def holm(p_values: Sequence[float], family: int, level: float) -> list[tuple[bool, float]]:
    """(whether it stands, the level it was held to) of each p-value, with `family` tests in all, of which the others
    have been rejected before (Holm 1979; over looks: Ye et al. 2013)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    found: list[tuple[bool, float]] = [(False, 0.0)] * len(p_values)
    rejected, standing = family - len(p_values), True
    for index in order:
        held_to = level / (family - rejected)
        standing = standing and p_values[index] <= held_to
        found[index] = (standing, held_to)
        rejected += standing  # after the first that fails, all others are held to its level and fail as well
    return found


def _speed(paired: Paired, claim: Claim) -> tuple[float, float, float]:
    """p-values of "inside the band", "above it" and "below it"."""
    low, high = log_band(claim)
    return max(paired.p_above(low), paired.p_below(high)), paired.p_above(high), paired.p_below(low)


def _ways(claim: Claim, loss: Loss | None) -> int:
    """In how many ways the claim can be refuted: by speed, and where labels count losses, by quality."""
    return 2 if claim.quality_loss_below is not None and loss is not None and loss.metric == "accuracy" else 1
