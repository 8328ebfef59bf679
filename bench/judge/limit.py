"""How near trials came to what their slots were measured to reach at most: the roofline, as one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.records import TrialRecord

MEMORY = "memory"
LONGEST_NAME = 16


@dataclass(frozen=True)
class Limit:
    """`share` of the ceiling that is nearer: `of` is the precision of the products, or "memory" for its bandwidth."""

    share: float
    of: str


def limit(trials: Sequence[TrialRecord]) -> Limit | None:
    """The mean over trials; None where no ceiling is known."""
    found = []
    for name in ("ceiling_share", "bytes_share"):
        told = [trial for trial in trials if name in trial.telemetry]
        if told:
            precision = str(told[0].proof.get("precision"))[:LONGEST_NAME]
            share = fmean(trial.telemetry[name] for trial in told)
            found.append(Limit(share, MEMORY if name == "bytes_share" else precision))
    return max(found, key=lambda limit: limit.share, default=None)
