"""Shifts of a level: found where they were planted, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_shifts import MODELS, NOISE_SD, STEP, Array, night_after_night, planted, score

from bench.judge.history.changes import FEWEST_RUNS, course

ALL = sorted(MODELS)


def noisy(model: str, *seed: int, nights: int) -> Array:
    rng = np.random.default_rng([ALL.index(model), *seed])
    return NOISE_SD * MODELS[model](rng, (nights,))


def five_shifts(model: str, seed: int) -> tuple[int, int]:
    places, level = planted(np.random.default_rng([seed, 500]))
    return score(course(level + noisy(model, seed, nights=500)).shifts, places)


@pytest.mark.parametrize("model", ALL)
def test_five_shifts_in_500_nights_are_found(model: str) -> None:
    for seed in range(5):
        hits, false = five_shifts(model, seed)
        assert hits >= 4 and false <= 2, (seed, hits, false)


@pytest.mark.statistics
@pytest.mark.parametrize("model", ALL)
def test_five_shifts_in_500_nights_are_found_whatever_the_seed(model: str) -> None:
    scores = [five_shifts(model, seed) for seed in range(200)]
    assert sum(hits >= 4 and false <= 2 for hits, false in scores) >= 198


@pytest.mark.parametrize("seed", range(3))
def test_they_are_found_when_five_nights_of_them_are_measured(seed: int) -> None:
    places, level = planted(np.random.default_rng([seed, 500]))
    in_time, false = night_after_night(level + noisy("normal", seed, nights=500), places)
    assert in_time >= 4 and false <= 2


@pytest.mark.statistics
@pytest.mark.parametrize("model", ALL)
def test_they_are_found_in_time_whatever_the_seed(model: str) -> None:
    scores = []
    for seed in range(30):
        places, level = planted(np.random.default_rng([seed, 500]))
        scores.append(night_after_night(level + noisy(model, seed, nights=500), places))
    assert sum(in_time >= 4 for in_time, _ in scores) >= 27
    assert sum(false <= 2 for _, false in scores) >= 27


@pytest.mark.slow
@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("nights", [8, 20, 60, 200])
def test_a_level_that_stays_has_no_shifts(model: str, nights: int) -> None:
    alarms = sum(bool(course(noisy(model, seed, nights=nights)).shifts) for seed in range(300))
    assert alarms <= 0.05 * 300 + 3 * math.sqrt(0.05 * 0.95 * 300)


@pytest.mark.parametrize("model", ALL)
def test_a_level_that_stays_for_60_nights_has_few_shifts(model: str) -> None:
    assert sum(len(course(noisy(model, seed, nights=60)).shifts) for seed in range(20)) <= 3


def test_a_shift_is_told_with_its_size_and_interval() -> None:
    level = np.repeat([0.0, math.log(0.97)], 30)
    (shift,) = course(level + noisy("normal", 3, nights=60)).shifts
    assert shift.index == pytest.approx(30, abs=1)
    assert shift.low < 0.97 < shift.high < 1
    assert shift.ratio == pytest.approx(0.97, abs=0.006)
    assert shift.runs_before + shift.runs_after == 60


def test_intervals_cover_the_planted_size() -> None:
    covered = []
    for seed in range(60):
        level = np.repeat([0.0, STEP], 40)
        covered += [
            shift.low <= math.exp(STEP) <= shift.high
            for shift in course(level + noisy("normal", seed, nights=80)).shifts
        ]
    assert len(covered) >= 55 and np.mean(covered) >= 0.85


def test_single_odd_nights_are_no_shifts_and_do_not_hide_one() -> None:
    values = np.repeat([0.0, -STEP], 30) + noisy("normal", 5, nights=60)
    values[[10, 22, 45]] += [-0.5, 0.4, -1.0]
    (shift,) = course(values).shifts
    assert shift.index == pytest.approx(30, abs=1)
    assert shift.ratio == pytest.approx(math.exp(-STEP), abs=0.01)
    values = noisy("normal", 6, nights=60)
    values[[20, 21]] -= 0.2
    assert course(values).shifts == ()


def test_a_steady_drift_is_called_so() -> None:
    found = course(np.linspace(0, -0.1, 300) + noisy("normal", 1, nights=300))
    assert found.shifts == () and found.segments == ()
    assert found.drift == pytest.approx(math.exp(-0.1), abs=0.005)


@pytest.mark.parametrize(("steps", "nights"), [(3, 60), (3, 90), (5, 120), (3, 240)])
def test_a_staircase_is_no_drift(steps: int, nights: int) -> None:
    level = -0.03 * (np.arange(nights) * (steps + 1) // nights)
    courses = [course(level + noisy("normal", seed, nights=nights)) for seed in range(20)]
    assert sum(found.drift is not None for found in courses) <= 1
    assert sum(len(found.shifts) == steps for found in courses) >= (8 if nights == 60 else 16)


@pytest.mark.parametrize(("drop", "nights"), [(0.09, 60), (0.1, 100), (0.1, 300), (0.15, 120)])
def test_a_drift_is_no_staircase(drop: float, nights: int) -> None:
    courses = [course(np.linspace(0, -drop, nights) + noisy("normal", seed, nights=nights)) for seed in range(20)]
    assert sum(found.drift is not None for found in courses) >= 19


@pytest.mark.parametrize("odd", [0.0, -1.0], ids=["", "with an odd night beside it"])
@pytest.mark.parametrize("after", [3, 4, 6])
@pytest.mark.parametrize("left", [0.8, 0.5])
def test_a_large_shift_of_the_last_nights_has_its_place_and_size(left: float, after: int, odd: float) -> None:
    for seed in range(20):
        values = noisy("normal", seed, nights=60 + after)
        values[60:] += math.log(left)
        values[57] += odd
        (shift,) = course(values).shifts
        assert shift.index == 60
        assert shift.ratio == pytest.approx(left, rel=0.03)


def test_a_shift_that_rests_on_few_nights_says_so() -> None:
    level = np.repeat([0.0, -STEP], [60, 30])
    values = level + noisy("normal", 0, nights=90)
    (shift,) = course(values[:64]).shifts
    assert shift.recent and shift.index == pytest.approx(60, abs=1)
    (shift,) = course(values).shifts
    assert not shift.recent
    three = noisy("normal", 8, nights=41)
    three[-2:] -= 0.05
    assert course(three).shifts == (), "two that lie off, and one that does not"


def test_short_series_say_so() -> None:
    short = course([0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5])
    assert short.too_few and short.shifts == () and short.pending is None
    assert course([1.0]).too_few and course([1.0]).noise is None
    assert not course([0.0] * FEWEST_RUNS).too_few
    assert len(course([0.0] * 4 + [0.5] * 4).shifts) == 1


def test_a_series_that_hardly_moves_has_no_shifts() -> None:
    assert course([3.0] * 100).shifts == ()
    assert course(list(np.repeat([3.0, 3.001], 50))).noise == 0.001
    assert course(list(np.repeat([3.0, 3.001], 10))).shifts == ()


@pytest.mark.parametrize("model", ["two tight modes, 20 % slow", "two tight modes, 50 % slow"])
def test_noise_is_not_only_that_within_a_mode(model: str) -> None:
    for seed in range(10):
        assert 0.006 < (course(noisy(model, seed, nights=200)).noise or 0) < 0.014


def test_values_with_ties_are_judged_too() -> None:
    """Most nights give the very same number, so that the median of the steps is none."""
    values = np.repeat([0.0, -0.05], 40)
    values[::9] += 0.01
    (shift,) = course(values).shifts
    assert shift.index == 40


def test_last_nights_that_lie_off_are_pending() -> None:
    quiet = noisy("normal", 8, nights=40)
    found = course(np.append(quiet, [-0.05, -0.05]))
    assert found.shifts == ()
    assert found.pending is not None
    assert found.pending.index == 40 and found.pending.runs == 2
    assert found.pending.ratio == pytest.approx(math.exp(-0.05), abs=0.01)
    more = np.append(quiet, [-0.05] * (2 + found.pending.awaited))
    assert [shift.index for shift in course(more).shifts] == [40]
    assert course(quiet).pending is None


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=60))
@settings(max_examples=60)
def test_any_series_has_a_course(logs: list[float]) -> None:
    found = course(logs)
    edges = [segment.start for segment in found.segments]
    assert found.drift is not None or edges == [0, *(shift.index for shift in found.shifts)]
    for shift in found.shifts:
        assert 0 < shift.low <= shift.ratio <= shift.high
    assert found.pending is None or 0 < found.pending.index < len(logs)
