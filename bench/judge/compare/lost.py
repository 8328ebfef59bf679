"""Blocks that the gate took from a comparison: how many are too many. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.judge import reasons
from bench.judge.compare.comparison import Obstacle
from bench.judge.verdicts import LASTING_LOSS, LOST_LIMIT


def lost_blocks(whys: Sequence[str], blocks: int) -> Obstacle | None:
    """None while at most a fifth of `blocks` is lost; `whys`: for each lost one the reason. More blocks may help while
    at most half are lost."""
    if not blocks or len(whys) / blocks <= LOST_LIMIT:
        return None
    passing = len(whys) / blocks <= LASTING_LOSS
    return Obstacle(reasons.lost(whys, blocks), math.ceil(len(whys) / LOST_LIMIT) - blocks if passing else None)
