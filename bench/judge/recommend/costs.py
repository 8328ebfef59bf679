"""How many devices a need takes, and what they cost. Pure."""

from __future__ import annotations

import math

from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.figures import Figure
from bench.judge.recommend.need import Need
from bench.judge.speedup import LEVEL

HOURS_PER_MONTH = 730.5


def devices_needed(need: Need, per_s: float) -> int:
    """For the throughput that all of them have to give together; 1 where none is asked for."""
    return max(1, math.ceil(need.throughput_per_s / (per_s * need.usable) - 1e-9)) if need.throughput_per_s else 1


def cost_per_month(candidate: Candidate, need: Need, devices: int, level: float = LEVEL) -> Figure | None:
    """Of so many devices, whether they are busy or not, and the electricity of what is asked for (of one device at the
    load that head-room leaves, where nothing is); its interval is that of the energy."""
    prices, per_s = need.prices, candidate.throughput
    if prices is None or per_s is None or (prices.power and candidate.energy is None):
        return None
    fixed = devices * (prices.price_per_hour or 0.0) * HOURS_PER_MONTH
    ends = [fixed, fixed, fixed]
    if prices.power and candidate.energy:
        items_per_s = need.throughput_per_s or per_s.estimate * need.usable
        energy = candidate.energy.at(level)
        for index, joules in enumerate((energy.estimate, energy.low, energy.high)):
            ends[index] += items_per_s * joules / 1e3 * HOURS_PER_MONTH * prices.power.price_per_kwh
    return Figure(ends[0], ends[1], ends[2], math.nan, per_s.trials)
