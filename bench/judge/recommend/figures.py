"""Numbers of one cell with their intervals: one valid trial is one observation, the interval a t over trials. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.judge.arranged import logs
from bench.judge.metrics import energy_per_item_j, p99_ms
from bench.judge.recommend.need import Need
from bench.judge.speedup import LEVEL
from bench.judge.statistics import Paired, ratio
from bench.records import TrialRecord

Value = Callable[[TrialRecord], float | None]
KWH_J = 3.6e6
MILLION = 1e6


@dataclass(frozen=True)
class Figure:
    """Geometric mean over trials with its 95 % interval, which without a second trial is all numbers. sd: standard
    deviation of the logarithms, NaN of one trial."""

    estimate: float
    low: float
    high: float
    sd: float
    trials: int

    @classmethod
    def of(cls, logarithms: Mapping[int, float]) -> Figure | None:
        """By block, None without any."""
        if not logarithms:
            return None
        paired = Paired.of(list(logarithms.values()))
        low, high = paired.interval(LEVEL) or (-math.inf, math.inf)
        return cls(ratio(paired.mean), ratio(low), ratio(high), paired.sd, paired.pairs)

    def at(self, level: float) -> Figure:
        """The same with the interval that misses the truth with probability `level`."""
        if self.trials < 2 or self.estimate <= 0:
            return self
        found = Paired(math.log(self.estimate), self.sd, self.trials).interval(level)
        assert found is not None, "two trials have an interval"
        return replace(self, low=ratio(found[0]), high=ratio(found[1]))

    def times(self, factor: float) -> Figure:
        return Figure(self.estimate * factor, self.low * factor, self.high * factor, self.sd, self.trials)


def figure(trials: Sequence[TrialRecord], value: Value) -> Figure | None:
    """Of valid trials; None where none of them tells."""
    return Figure.of(logs({trial.block: trial for trial in trials}, value))


# --- of one trial ---


def throughput_per_s(trial: TrialRecord) -> float | None:
    """Of all tenants together."""
    return trial.throughput_per_s


def slowest_tenant_per_s(trial: TrialRecord) -> float | None:
    """Every tenant has to get what it needs, so the slowest counts."""
    return min(trial.tenant_throughput_per_s, default=None)


def longest_p99_ms(trial: TrialRecord) -> float | None:
    """Every tenant has to be answered in time, so the longest counts."""
    return max(p99_ms(trial), default=None)


def longest_p50_ms(trial: TrialRecord) -> float | None:
    """Half of a tenant's requests take longer, so its p99 is no less."""
    return max((latency.p50 for latency in trial.tenant_latency_ms), default=None)


def energy_j(need: Need, measured: bool) -> Value:
    """Of one item: from the board's counter, or from the watts that the need states."""
    power = need.prices.power if need.prices else None

    def value(trial: TrialRecord) -> float | None:
        if measured:
            return energy_per_item_j(trial)
        if power and power.watts and trial.throughput_per_s:
            return power.watts / trial.throughput_per_s
        return None

    return value


def cost_per_million(need: Need, energy: Value) -> Value:
    """Of inferences: the device's hours, at the load that head-room leaves, and the electricity of as many items. None
    without one of the two that has a price: half a cost is none."""
    prices = need.prices

    def value(trial: TrialRecord) -> float | None:
        if prices is None or not trial.throughput_per_s:
            return None
        cost = 0.0
        if prices.price_per_hour:
            cost += prices.price_per_hour / (trial.throughput_per_s * need.usable * 3600) * MILLION
        if prices.power:
            joules = energy(trial)
            if joules is None:
                return None
            cost += joules / KWH_J * prices.power.price_per_kwh * MILLION
        return cost

    return value
