"""How evenly tenants share a device, and what it yields in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median

from bench.records import TrialRecord


@dataclass(frozen=True)
class Sharing:
    """Over the valid trials of a cell. Throughputs in items per second.

    jain: Jain's index of the tenants' throughputs, (sum x)^2 / (n sum x^2), the median over trials: 1 is even, 1/n is
        one tenant taking all. lowest_share: the slowest tenant's part of what an even share would be.
    """

    tenants: int
    aggregate_per_s: float
    per_tenant_per_s: float
    jain: float
    lowest_share: float


def sharing(trials: Sequence[TrialRecord]) -> Sharing | None:
    """None without a valid trial in which every tenant answered something."""
    each = [t.tenant_throughput_per_s for t in trials if t.status == "ok" and any(t.tenant_throughput_per_s)]
    if not each:
        return None
    aggregate = geometric_mean([sum(shares) for shares in each])
    tenants = len(each[0])
    return Sharing(
        tenants,
        aggregate,
        aggregate / tenants,
        jain=median(jain(shares) for shares in each),
        lowest_share=median(min(shares) * len(shares) / sum(shares) for shares in each),
    )


def jain(shares: Sequence[float]) -> float:
    """Jain, Chiu and Hawe 1984; shares not all zero."""
    most = max(shares)  # in parts of which no square is lost, however small or great they are
    parts = [share / most for share in shares]
    return sum(parts) ** 2 / (len(parts) * sum(part**2 for part in parts))
