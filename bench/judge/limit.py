"""What limits a cell: how near it came to what its slot was measured to reach at most, or the host that feeds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.records import TrialRecord

MEMORY = "memory"
LONGEST_NAME = 16
HOST_BOUND = 0.9
"""Of the requests' time, how much the host may need to queue them before it is what limits."""


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


def host_bound(trials: Sequence[TrialRecord]) -> bool:
    """Whether a GPU waited for its host: what is faster there launches faster. False on a CPU."""
    told = [trial.telemetry["queueing_share"] for trial in trials if "queueing_share" in trial.telemetry]
    return bool(told) and fmean(told) >= HOST_BOUND
