"""What of a trial is compared. Pure.

Every metric is a speed: twice as much is twice as good, so that a ratio above 1 always means better.
"""

from __future__ import annotations

from bench.claims import Metric
from bench.records import TrialRecord

BEYOND = 50
"""Requests that must lie beyond a tail quantile in each process: 5000 in all for p99. With a tenth of that the sample
p99 of requests that queue is 11 % too low, and its interval covers two thirds of what it says (simulated)."""


def tail_needs(share: float) -> int:
    """Requests of one process that its quantile at `share` needs."""
    return round(BEYOND / (1 - share))


def speed(trial: TrialRecord, metric: Metric | None = None) -> float | None:
    """None where the trial does not tell. throughput: items per second. start_up: starts per second. p99: the inverse
    of the tenants' mean p99, of processes that answered enough requests to have one. No metric: what the scenario
    measures."""
    if metric == "p99":
        if min(trial.tenant_requests, default=0) < tail_needs(0.99):
            return None
        mean_ms = sum(latency.p99 for latency in trial.tenant_latency_ms) / max(1, len(trial.tenant_latency_ms))
        return 1e3 / mean_ms if mean_ms > 0 else None
    if metric == "start_up" or (metric is None and trial.start_up_s):
        return 1 / trial.start_up_s if trial.start_up_s else None
    return trial.throughput_per_s or None
