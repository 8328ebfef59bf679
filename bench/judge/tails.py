"""Latency quantiles of a cell, each with its interval, or "too few".

A quantile is taken in each process and is one observation, like throughput is: requests of one process are not
independent (a queue, a cache, a neighbour), so an interval over pooled requests would claim to know what it does not.
Tenants of one trial share the machine and are averaged; the t interval is over trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.judge.metrics import fewest_requests, tail_needs
from bench.judge.speedup import LEVEL
from bench.judge.statistics import Paired, ratio
from bench.records import TrialRecord

Quantile = Literal["p50", "p90", "p95", "p99"]
SHARES: dict[Quantile, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
FEWEST_MEDIAN = 6
"""Requests that bracket a median (95 %, order statistics); a median is no tail."""


@dataclass(frozen=True)
class Tail:
    """Milliseconds. None where a process had too few requests: `fewest` of them, `needed` are enough."""

    estimate: float | None
    low: float | None
    high: float | None
    fewest: int
    needed: int


def needed(quantile: Quantile) -> int:
    """Requests of one process that its quantile needs."""
    return FEWEST_MEDIAN if quantile == "p50" else tail_needs(SHARES[quantile])


def tail(trials: Sequence[TrialRecord], quantile: Quantile) -> Tail:
    """Over the valid trials of one cell: geometric mean of each trial's mean over its tenants, and its interval."""
    valid = [trial for trial in trials if trial.status == "ok" and trial.tenant_latency_ms]
    fewest = fewest_requests(valid)
    if fewest < needed(quantile):
        return Tail(None, None, None, fewest, needed(quantile))
    means = [
        sum(getattr(latency, quantile) for latency in trial.tenant_latency_ms) / len(trial.tenant_latency_ms)
        for trial in valid
    ]
    paired = Paired.of([math.log(max(mean, 1e-9)) for mean in means])
    low, high = paired.interval(LEVEL) or (None, None)
    return Tail(
        ratio(paired.mean),
        None if low is None else ratio(low),
        None if high is None else ratio(high),
        fewest,
        needed(quantile),
    )
