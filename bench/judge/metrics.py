"""What of a trial is compared. Pure.

Every metric is a speed: twice as much is twice as good, so that a ratio above 1 always means better.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.claims import Metric
from bench.records import TrialRecord

BEYOND = 50
"""Requests that must lie beyond a tail quantile in each process: 5000 in all for p99. With a tenth of that the sample
p99 of requests that queue is 11 % too low, and its interval covers two thirds of what it says (simulated)."""


P99 = 0.99


def tail_needs(share: float) -> int:
    """Requests of one process that its quantile at `share` needs."""
    return round(BEYOND / (1 - share))


def fewest_requests(trials: Iterable[TrialRecord]) -> int:
    """Of any process in any of these; 0 where one tells of none, or there is none."""
    return min((min(trial.tenant_requests, default=0) for trial in trials), default=0)


def energy_per_item_j(trial: TrialRecord) -> float | None:
    """None where no counter told it."""
    joules = trial.telemetry.get("energy_per_item_j", 0.0)
    return joules if joules > 0 else None


def p99_ms(trial: TrialRecord) -> tuple[float, ...]:
    """Of each tenant that runs the workload, as its users see it: a GPU's own clock does not count the wait for a turn
    on a GPU that is shared."""
    return trial.tenant_wall_p99_ms or tuple(latency.p99 for latency in trial.tenant_latency_ms)


def speed(trial: TrialRecord, metric: Metric | None = None) -> float | None:
    """None where the trial does not tell. throughput: items per second. start_up: starts per second. p99: the inverse
    of the tenants' longest. No metric: what the scenario measures."""
    if metric == "p99":
        longest_ms = max(p99_ms(trial), default=0.0)
        return 1e3 / longest_ms if longest_ms > 0 else None
    if metric == "start_up" or (metric is None and trial.start_up_s):
        return 1 / trial.start_up_s if trial.start_up_s else None
    return trial.throughput_per_s or None
