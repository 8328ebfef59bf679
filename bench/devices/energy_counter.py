"""How often a GPU's energy counter moves."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

from bench import clock
from bench.devices.nvml import Session


def energy_update_s(session: Session, handle: Any, limit_s: float = 0.5) -> float | None:
    """Seconds between two updates of the energy counter, the median of those seen while it is read at full rate for
    `limit_s` (this keeps one core busy). None: there is no such counter, or it moved less than three times."""
    changes_ns: list[int] = []
    last_mj = session.ask("nvmlDeviceGetTotalEnergyConsumption", handle)
    if last_mj is None:
        return None
    end_ns = clock.now_ns() + int(limit_s * clock.NS_PER_S)
    while (now_ns := clock.now_ns()) < end_ns:
        energy_mj = session.ask("nvmlDeviceGetTotalEnergyConsumption", handle)
        if energy_mj != last_mj:
            changes_ns.append(now_ns)
            last_mj = energy_mj
    if len(changes_ns) < 3:
        return None
    return clock.seconds(int(statistics.median(later - earlier for earlier, later in pairwise(changes_ns))))
