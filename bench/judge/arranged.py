"""The valid trials of a run by the parts of their arrangement, and ratios of what they measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from statistics import median_low
from typing import NamedTuple

from bench.judge.speedup import SpeedUp
from bench.judge.statistics import Paired
from bench.records import LISTED, PlannedTrial, TrialRecord
from bench.stored import StoredRun


class Key(NamedTuple):
    """A cell by its parts."""

    division: str
    isolation: str
    neighbours: str
    optimization: str

    def beside(self, neighbours: str) -> Key:
        return self._replace(neighbours=neighbours)

    def inside(self, isolation: str) -> Key:
        return self._replace(isolation=isolation)


class Arranged:
    """What was planned and what is valid of it. Tenants that a partition names one by one have no key: `mixed` holds
    their valid trials, as (partition, optimization, trials)."""

    def __init__(self, run: StoredRun) -> None:
        valid: dict[tuple[str, str], dict[int, TrialRecord]] = {}
        for trial in run.trials:
            if trial.status == "ok":
                valid.setdefault((trial.partition, trial.optimization), {})[trial.block] = trial
        planned: dict[Key, PlannedTrial] = {}
        mixed: dict[tuple[str, str], list[TrialRecord]] = {}
        for one in run.plan.trials:
            cell = one.partition, one.optimization
            trials = list(valid.get(cell, {}).values())
            if one.neighbours == LISTED:
                mixed[cell] = trials
            elif one.optimization != run.plan.again:
                planned.setdefault(Key(one.division, one.isolation, one.neighbours, one.optimization), one)
        self._planned = planned
        self._valid = valid
        self.keys = sorted(planned)
        self.mixed = [(*cell, trials) for cell, trials in sorted(mixed.items())]

    def has(self, key: Key) -> bool:
        return key in self._planned

    def tenants(self, key: Key) -> int:
        return self._planned[key].tenants

    def trials(self, key: Key) -> Mapping[int, TrialRecord]:
        """Valid ones by block."""
        planned = self._planned[key]
        return self._valid.get((planned.partition, planned.optimization), {})

    def neighbours_per_s(self, key: Key) -> float | None:
        """Of all neighbours together, the median trial; None where nobody counted."""
        return median_of(self.trials(key).values(), of_neighbours)


def of_neighbours(trial: TrialRecord) -> float | None:
    """Requests per second of all of them together."""
    return sum(trial.neighbour_throughput_per_s) if trial.neighbour_throughput_per_s else None


def median_of(trials: Iterable[TrialRecord], value: Callable[[TrialRecord], float | None]) -> float | None:
    """One of the numbers that trials tell, at even count the lower: a mean of two could overflow."""
    found = [told for trial in trials if (told := value(trial)) is not None and math.isfinite(told)]
    return median_low(found) if found else None


def logs(trials: Mapping[int, TrialRecord], value: Callable[[TrialRecord], float | None]) -> dict[int, float]:
    """By block, of the trials that tell something that has a logarithm."""
    found = ((block, value(trial)) for block, trial in trials.items())
    return {block: math.log(told) for block, told in found if told is not None and 0 < told < math.inf}


def over(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """The logarithm of their ratio, in the blocks that have both."""
    return {block: first[block] - second[block] for block in sorted(first.keys() & second)}


def ratio_of(differences: Mapping[int, float]) -> SpeedUp | None:
    """With its interval; None without any pair."""
    return SpeedUp.of(Paired.of(list(differences.values()))) if differences else None
