"""Runs of two versions whose truth is known: in the same blocks of one run, and runs of different days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from made_up_runs import plan, run
from simulation import LOOK_LEVEL, LOOKS, Array, Noise, noise

from bench.judge.compare.comparison import Outcome, Word
from bench.records import PlannedTrial
from bench.stored import StoredRun

OLDER, NEWER = "against_commit", "process"
OLD_SIDE = f"full.{OLDER}"


def is_older(planned: PlannedTrial) -> bool:
    return planned.isolation == OLDER


@cache
def _template(partitions: tuple[str, ...], series: int, blocks: int, against: bool) -> StoredRun:
    """A finished run in which every trial is as fast as every other."""
    names = [f"s{index}" for index in range(series)]
    made = plan(
        dict.fromkeys(partitions, names), blocks=blocks, looks=LOOKS, look_level=LOOK_LEVEL,
        baseline="s0", against={OLDER: NEWER} if against else {},
    )  # fmt: skip
    if against:
        trials = tuple(
            t.model_copy(update={"division": "full", "isolation": OLDER if t.partition == OLD_SIDE else NEWER,
                                 "neighbours": "same"})
            for t in made.trials
        )  # fmt: skip
        made = made.model_copy(update={"trials": trials})
    return run(made, lambda planned: {})


def of_costs(template: StoredRun, costs: Mapping[tuple[str, int], Array], name: str = "made-up") -> StoredRun:
    """The same run with logarithms of costs by (partition, series), [blocks]."""
    trials = tuple(
        trial.model_copy(
            update={
                "throughput_per_s": 100
                * float(np.exp(-costs[trial.partition, int(trial.optimization[1:])][trial.block - 1]))
            }
        )
        for trial in template.trials
    )
    return StoredRun(Path(name), template.description, template.plan, trials)


def together(model: Noise, rng: np.random.Generator, slow_downs: Sequence[float], blocks: int) -> StoredRun:
    """One run of both versions, with a slow-down (a logarithm) of each series."""
    series = len(slow_downs)
    found = -noise(model, rng, 2 * series, blocks, 1)[0]
    costs = {("full", i): found[i] + slow_downs[i] for i in range(series)}
    costs |= {(OLD_SIDE, i): found[series + i] for i in range(series)}
    return of_costs(_template(("full", OLD_SIDE), series, blocks, True), costs)


def alone(
    model: Noise, rng: np.random.Generator, slow_downs: Sequence[float], blocks: int, day: float, name: str
) -> StoredRun:
    """One run of one version. `day`: the deviation of its day, a logarithm; `name` begins with the date."""
    series = len(slow_downs)
    found = -noise(model, rng, series, blocks, 1)[0] + day
    costs = {("full", i): found[i] + slow_downs[i] for i in range(series)}
    return of_costs(_template(("full",), series, blocks, False), costs, name)


def words(outcomes: Sequence[Outcome]) -> list[Word]:
    return [outcome.outcome for outcome in outcomes]
