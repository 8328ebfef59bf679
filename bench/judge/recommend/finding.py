"""What is found on one goal of a need. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bench.judge.recommend.figures import Figure
from bench.judge.statistics import pairs_needed

Outcome = Literal["met", "unmet", "uncertain", "unmeasured"]
Lack = Literal["", "protocol", "p99", "again", "blocks", "items", "quality", "energy", "memory", "tool"]
"""What would have to be measured for it."""


@dataclass(frozen=True)
class Finding:
    """On one goal. blocks: about how many would tell, where it is uncertain; 0: not known, or more than anybody
    measures."""

    goal: str
    outcome: Outcome
    words: str
    lack: Lack = ""
    blocks: int = 0


def uncertain(goal: str, words: str, found: Figure, bound: float, level: float) -> Finding:
    """With about how many blocks would tell the figure from the bound."""
    distance = abs(math.log(found.estimate / bound)) if found.estimate > 0 else 0.0
    blocks = pairs_needed(found.sd, distance, level) if distance and math.isfinite(found.sd) else 0
    return Finding(goal, "uncertain", words, "blocks", blocks)
