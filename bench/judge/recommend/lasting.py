"""About how long a suggested measurement takes, from the trials of the run that it repeats. Pure.

Planning counts a typical start and the shortest window. This knows better: these cells were started before, and how
long each takes for its requests follows from how fast it answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.records import SAME, TrialRecord
from bench.stored import StoredRun

MARGIN = 1.25
"""Rates differ from trial to trial, and every process of every trial needs its requests."""


@dataclass(frozen=True)
class Pace:
    """What a protocol says (bench/configs/protocol) of how long it takes. requests: of each process."""

    blocks: int
    warmup_s: float
    window_s: float
    window_limit_s: float
    requests: int


STANDARD = Pace(blocks=10, warmup_s=0.2, window_s=0.4, window_limit_s=20.0, requests=20)
PUBLISH = Pace(blocks=20, warmup_s=1.0, window_s=5.0, window_limit_s=60.0, requests=5000)


def lasts_s(
    run: StoredRun, wanted: Mapping[str, Collection[str]], isolations: Collection[str], pace: Pace
) -> float | None:
    """Of these optimizations on each division, and of the baseline once more on each, as both protocols measure it;
    without building models. None where the record does not tell how long each took."""
    again = run.plan.baseline
    trials = _by_cell(run)
    cells = [(division, isolation) for division in wanted for isolation in isolations]
    each = [_trial_s(trials.get((*cell, name), ()), pace) for cell in cells for name in (*wanted[cell[0]], again)]
    told = [seconds for seconds in each if seconds is not None]
    return pace.blocks * sum(told) if told and len(told) == len(each) else None


def rate_per_s(trials: Sequence[TrialRecord]) -> float | None:
    """Requests per second of the slowest process; None where the record does not tell."""
    windows = [trial.window_s for trial in trials]
    fewest = min((count for trial in trials for count in trial.tenant_requests), default=0)
    return fewest / max(window or 0.0 for window in windows) if fewest and all(windows) else None


def _by_cell(run: StoredRun) -> Mapping[tuple[str, str, str], list[TrialRecord]]:
    planned = {one.id: one for one in run.plan.trials if one.neighbours == SAME}
    found: dict[tuple[str, str, str], list[TrialRecord]] = {}
    for trial in run.trials:
        if trial.status == "ok" and (one := planned.get(trial.id)):
            found.setdefault((one.division, one.isolation, one.optimization), []).append(trial)
    return found


def _trial_s(trials: Sequence[TrialRecord], pace: Pace) -> float | None:
    rate = rate_per_s(trials)
    around = [
        total - trial.timing_s.get("window", 0.0) - trial.timing_s.get("warmup", 0.0)
        for trial in trials
        if (total := trial.timing_s.get("total"))
    ]
    if rate is None or not around:
        return None
    window_s = min(pace.window_limit_s, max(pace.window_s, MARGIN * pace.requests / rate))
    return max(0.0, median(around)) + pace.warmup_s + window_s
