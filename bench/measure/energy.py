"""Energy of a GPU in the measured window, from its counter; and who may have used it. Pure.

The counter moves every 20 to 100 ms and is read every tick, so a window in which fewer than ten of its values were seen
has no energy figure. It counts the board, once, whatever the partition: there is no hardware that meters a MIG slice
(arXiv 2501.17752). What tenants that share a board used is an estimate, named as one, with the model in its name and
its error beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.contract import BOARD
from bench.measure.series import median, series
from bench.measure.summary import Window

FEWEST_UPDATES = 10
"""An energy from fewer counter values than this is off by a tenth and more."""


def numbers(
    report: Mapping[str, Any], window: Window, throughput_per_s: Sequence[float], gpu_instances: Sequence[int | None]
) -> dict[str, float]:
    """What is known of these, NaN where it is not; {} without an energy counter.

    energy_updates: values of the counter seen in the window; fewer than ten, or one that stands still, and there is no
        energy. energy_j_gpu: of the board in the window. energy_per_item_j: that, over all tenants' items together.
    energy_to_power_ratio: the same energy over the integral of the average power; far from 1, one of the two is wrong.
    energy_estimate_...: see `estimate`.
    """
    counter = series(report, BOARD, "energy_j")
    if not len(counter.values):
        return {}
    updates = len(np.unique(counter.within(window).values))
    found = {"energy_updates": float(updates)}
    energy_j = counter.increase(window)
    if updates < FEWEST_UPDATES or not energy_j > 0:
        return found
    # Whole requests cut by the window's edges make throughput times time the better count of items.
    items = sum(throughput_per_s) * window.seconds
    power_j = series(report, BOARD, "power_average_w").integral(window)
    found["energy_j_gpu"] = energy_j
    found["energy_per_item_j"] = energy_j / items if items else math.nan
    found["energy_to_power_ratio"] = energy_j / power_j if power_j else math.nan
    return found | estimate(report, window, energy_j, throughput_per_s, gpu_instances)


def estimate(
    report: Mapping[str, Any],
    window: Window,
    energy_j: float,
    throughput_per_s: Sequence[float],
    gpu_instances: Sequence[int | None],
) -> dict[str, float]:
    """The board's energy, idle power and all, split among tenants: energy_estimate_by_<model>_j_tenant<N>.

    by_activity: in proportion to how busy each GPU instance's graphics engine was (GPM) times its multiprocessors;
        where each tenant has an instance of its own and all of them tell. by_throughput: else, by items done.
    energy_estimate_by_<model>_error_share: the largest relative difference between this split and the one by sizes
        alone (multiprocessors; equal shares where they are not known). Power is far from proportional to either.
    """
    if len(throughput_per_s) < 2:
        return {}
    sizes = [median(series(report, f"gi{number}", "multiprocessors")) for number in gpu_instances]
    if not all(size > 0 for size in sizes):
        sizes = [1.0] * len(gpu_instances)
    columns = [series(report, f"gi{number}", "graphics_active_share") for number in gpu_instances]
    activity = np.array([median(column.within(window)) for column in columns])
    own = len(set(gpu_instances)) == len(gpu_instances)
    known = own and activity.sum() > 0  # not where one of them is NaN
    model, weights = ("activity", activity * sizes) if known else ("throughput", np.array(throughput_per_s))
    if not weights.sum() > 0:
        return {}
    split, by_size = weights / weights.sum(), np.array(sizes) / sum(sizes)
    found = {f"energy_estimate_by_{model}_j_tenant{index}": energy_j * share for index, share in enumerate(split)}
    found[f"energy_estimate_by_{model}_error_share"] = float(np.abs(split / by_size - 1).max())
    return found
