"""Simulated truth: how often a slow-down is found, and how often there is an alarm without one (docs/method.md).

2,000 draws with `make test-statistics`, of which a rate of 5 % has a standard error of 0.5 %; `make test` makes 100.
Limits give way by three standard errors. Noise as in docs/method.md: process noise of 1 %, so
that differences within a block have an sd of 1.4 %, and block noise of 2 %, which counts between runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from compared_runs import alone, together, words
from simulation import STANDARDISED, Noise

from bench.judge.compare.across import across
from bench.judge.compare.within import within

DRAWS = [
    *(pytest.param(model, 100, id=f"{model}-100") for model in ("normal", "skewed")),
    *(pytest.param(model, 2_000, id=f"{model}-2000", marks=pytest.mark.statistics) for model in STANDARDISED),
]
FALSE_ALARMS, FOUND, WRONGLY_PASSED = 0.05, 0.95, 0.025
SEED = 20_261_129
SERIES = 4


def told(**rates: float) -> None:
    """The measured rates, for docs/method.md: `make test-statistics` prints them."""
    print(" ".join(f"{name}={100 * rate:.1f}%" for name, rate in rates.items()))  # noqa: T201  # what the target is for


def slack(rate: float, draws: int) -> float:
    return 3 * math.sqrt(rate * (1 - rate) / draws)


def slower(share: float) -> list[float]:
    """One series of the table, the others as they were."""
    return [math.log1p(share), *[0.0] * (SERIES - 1)]


@pytest.mark.parametrize(("model", "draws"), DRAWS)
def test_no_slow_down_raises_no_alarm_in_a_whole_table_after_three_looks(model: Noise, draws: int) -> None:
    rng = np.random.default_rng(SEED)
    tables = [words(within(together(model, rng, [0.0] * SERIES, 40)).outcomes) for _ in range(draws)]
    alarms = sum("regressed" in table for table in tables) / draws
    told(alarms=alarms, passed=sum(set(table) == {"not_regressed"} for table in tables) / draws)
    assert alarms <= FALSE_ALARMS + slack(FALSE_ALARMS, draws)


@pytest.mark.parametrize(("share", "blocks"), [(0.05, 10), (0.02, 20)])
@pytest.mark.parametrize(("model", "draws"), DRAWS)
def test_a_slow_down_is_found_in_a_table_of_others(model: Noise, share: float, blocks: int, draws: int) -> None:
    """5 % at the first look, 2 % within 20 blocks."""
    rng = np.random.default_rng(SEED)
    found = [within(together(model, rng, slower(share), blocks)).outcomes[0].outcome for _ in range(draws)]
    rates = {word: count / draws for word, count in Counter(found).items()}
    told(**rates)
    assert rates["regressed"] >= FOUND - slack(FOUND, draws)


@pytest.mark.parametrize(("model", "draws"), DRAWS)
def test_a_slow_down_as_large_as_the_threshold_hardly_ever_passes(model: Noise, draws: int) -> None:
    rng = np.random.default_rng(SEED)
    found = [within(together(model, rng, [math.log1p(0.01)], 40)).outcomes[0].outcome for _ in range(draws)]
    rates = {word: count / draws for word, count in Counter(found).items()}
    told(**rates)
    assert rates.get("not_regressed", 0.0) <= WRONGLY_PASSED + slack(WRONGLY_PASSED, draws)


# (base runs, day's deviation, blocks of each run, what is told of the day's deviation)
DAYS = [(5, 0.005, 20, None), (10, 0.005, 10, None), (1, 0.005, 20, 0.005)]


@pytest.mark.parametrize(("runs", "tau", "blocks", "known"), DAYS)
@pytest.mark.parametrize(("model", "draws"), DRAWS)
def test_runs_of_different_days(
    model: Noise, runs: int, tau: float, blocks: int, known: float | None, draws: int
) -> None:
    rng = np.random.default_rng(SEED)
    alarms = found = 0
    for _ in range(draws):
        base = [
            alone(model, rng, [0.0, 0.0], blocks, tau * rng.standard_normal(), f"202601{index + 1:02d}-night")
            for index in range(runs)
        ]
        same, other = (
            alone(model, rng, [share, 0.0], blocks, tau * rng.standard_normal(), "20260201-night")
            for share in (0.0, math.log1p(0.05))
        )
        alarms += "regressed" in words(across(base, [same], day_to_day=known).outcomes)
        found += across(base, [other], day_to_day=known).outcomes[0].outcome == "regressed"
    told(alarms=alarms / draws, found=found / draws)
    assert alarms / draws <= FALSE_ALARMS + slack(FALSE_ALARMS, draws)
    assert found / draws >= FOUND - slack(FOUND, draws)


@pytest.mark.parametrize("runs", [3, 10])
@pytest.mark.parametrize(("model", "draws"), DRAWS)
def test_runs_of_one_job_are_not_taken_for_days(model: Noise, runs: int, draws: int) -> None:
    """They share its deviation (1 %, as is assumed), so their spread says nothing of it; nor do copies of one."""
    rng = np.random.default_rng(SEED)
    tau, blocks, alarms, of_copies = 0.01, 20, 0, 0
    for _ in range(draws):
        then, now = tau * rng.standard_normal(2)
        job = [alone(model, rng, [0.0], blocks, then, f"20260101-{hour:02d}0000") for hour in range(runs)]
        copies = [dataclasses.replace(job[0], folder=Path(f"202601{day + 1:02d}-copy")) for day in range(runs)]
        candidate = [alone(model, rng, [0.0], blocks, now, "20260201-night")]
        alarms += "regressed" in words(across(job, candidate).outcomes)
        of_copies += "regressed" in words(across(copies, candidate).outcomes)
    told(alarms=alarms / draws, of_copies=of_copies / draws)
    assert max(alarms, of_copies) / draws <= FALSE_ALARMS + slack(FALSE_ALARMS, draws)
