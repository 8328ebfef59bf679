"""What counts as steady, and what does not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from bench.measure import steady

NUMBERS = np.random.default_rng(5)


def noisy(level: float = 1.0, noise: float = 0.0, slope: float = 0.0, count: int = 10) -> list[float]:
    """Ten chunk medians: `slope` is the relative change over all of them."""
    ramp = np.linspace(-0.5, 0.5, count) * slope
    return list(level * (1 + ramp + noise * NUMBERS.standard_normal(count)))


@pytest.mark.parametrize("level", [1e-3, 1.0, 1e9])
def test_constant_durations_are_steady(level: float) -> None:
    assert steady.is_steady([level] * 10, 0.0)
    assert steady.drift([level] * 10) == (0.0, 0.0)


def test_the_change_is_relative_and_signed() -> None:
    assert steady.drift([100.0] * 5 + [110.0] * 5)[0] == pytest.approx(0.10)
    assert steady.drift([100.0] * 5 + [80.0] * 5)[0] == pytest.approx(-0.20)


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1])
def test_noise_alone_is_steady(noise: float) -> None:
    found = [steady.is_steady(noisy(noise=noise), steady.WARMUP_TOLERANCE) for _ in range(300)]
    assert np.mean(found) > 0.9


@pytest.mark.parametrize("slope", [0.3, -0.3])
def test_a_linear_drift_is_not_steady_though_it_is_noisy(slope: float) -> None:
    found = [steady.is_steady(noisy(noise=0.01, slope=slope), 0.05) for _ in range(300)]
    assert np.mean(found) < 0.05


def test_a_drift_within_the_tolerance_is_let_pass() -> None:
    assert steady.is_steady(noisy(slope=0.04), 0.05)


def test_a_step_from_warm_up_is_not_steady() -> None:
    assert not steady.is_steady([5.0] * 5 + [1.0] * 5, steady.WARMUP_TOLERANCE)


def test_one_outlier_chunk_does_not_make_it_unsteady() -> None:
    medians = noisy(noise=0.005)
    medians[7] *= 3
    assert steady.is_steady(medians, steady.WARMUP_TOLERANCE)


def test_window_medians_need_one_request_per_chunk() -> None:
    assert steady.window_medians(range(9)) == []
    assert steady.window_medians(range(10)) == list(range(10))
    assert steady.window_medians([3] * 10_007) == [3] * 10


def test_warm_up_ends_at_its_limit_when_durations_grow_without_end() -> None:
    calls = 0

    def slower_each_time() -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.001 * 1.05**calls)

    found = steady.warm_up([slower_each_time], min_s=0.0, limit_s=0.5)
    assert not found.steady
    assert found.seconds >= 0.5
    assert found.requests == calls
    assert found.drift > 0.02 or math.isnan(found.drift)


def test_warm_up_calls_take_turns_and_last_at_least_the_minimum() -> None:
    counts = [0, 0, 0]

    def counting(index: int) -> Callable[[], None]:
        def call() -> None:
            counts[index] += 1
            time.sleep(0.001)

        return call

    found = steady.warm_up([counting(index) for index in range(3)], min_s=0.3, limit_s=2.0)
    assert found.seconds >= 0.3
    assert max(counts) - min(counts) <= 1
    assert found.request_ns >= 1e6


def test_too_slow_to_tell_is_not_steady() -> None:
    found = steady.warm_up([lambda: time.sleep(0.05)], min_s=0.0, limit_s=0.1)
    assert not found.steady
    assert math.isnan(found.drift)
