"""Speed-up of a cell against the baseline of its partition, paired over blocks (docs/method.md).

One process per cell and block is one observation, whatever number of requests it answered: d_i = ln(throughput of
the cell) - ln(throughput of the baseline) in block i. The speed-up is exp(mean d), its interval that of a paired t
with as many degrees of freedom as pairs less one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # not scipy.stats: that takes two seconds to import

from bench.records import TrialRecord


@dataclass(frozen=True)
class SpeedUp:
    """`low` and `high` are None below two pairs."""

    estimate: float
    low: float | None
    high: float | None
    pairs: int


def paired_ratio(treatment: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> SpeedUp:
    """Ratio treatment / baseline of paired positive values."""
    differences = np.log(np.asarray(treatment, dtype=float)) - np.log(np.asarray(baseline, dtype=float))
    pairs = len(differences)
    mean = float(differences.mean())
    if pairs < 2:
        return SpeedUp(math.exp(mean), None, None, pairs)
    quantile = float(stdtrit(pairs - 1, 0.5 + confidence / 2))
    half = quantile * float(differences.std(ddof=1)) / math.sqrt(pairs)
    return SpeedUp(math.exp(mean), math.exp(mean - half), math.exp(mean + half), pairs)


def speed_up(trials: Sequence[TrialRecord], partition: str, optimization: str, baseline: str) -> SpeedUp | None:
    """From the blocks in which both are valid; None when there is no such block, or for the baseline itself."""
    if optimization == baseline:
        return None
    treated = _by_block(trials, partition, optimization)
    reference = _by_block(trials, partition, baseline)
    blocks = sorted(treated.keys() & reference.keys())
    if not blocks:
        return None
    return paired_ratio([treated[block] for block in blocks], [reference[block] for block in blocks])


def _by_block(trials: Sequence[TrialRecord], partition: str, optimization: str) -> dict[int, float]:
    return {
        trial.block: trial.throughput_per_s
        for trial in trials
        if (trial.partition, trial.optimization) == (partition, optimization)
        and trial.status == "ok"
        and trial.throughput_per_s
    }
