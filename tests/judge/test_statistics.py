"""The statistics under the verdicts, against scipy and against the table of the method."""

from __future__ import annotations

import math
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from scipy import stats

from bench.judge.statistics import MOST_PAIRS, MOST_RANKED, Paired, hodges_lehmann, pairs_needed, ratio

VALUES = st.lists(st.floats(-3, 3).map(lambda value: round(value, 4)), min_size=2, max_size=40)
BOUNDS = st.floats(-2, 2)
LEVELS = st.sampled_from([0.2, 0.05, 0.02, 0.001])


@given(VALUES, BOUNDS)
def test_p_values_are_those_of_one_sided_t_tests(values: list[float], bound: float) -> None:
    assume(np.std(values) > 1e-3)
    paired = Paired.of(values)
    above = stats.ttest_1samp(values, bound, alternative="greater").pvalue
    below = stats.ttest_1samp(values, bound, alternative="less").pvalue
    assert paired.p_above(bound) == pytest.approx(above, rel=1e-6, abs=1e-12)
    assert paired.p_below(bound) == pytest.approx(below, rel=1e-6, abs=1e-12)


@given(VALUES, BOUNDS, LEVELS)
def test_a_bound_lies_outside_the_interval_when_its_p_value_is_below_half_the_level(
    values: list[float], bound: float, level: float
) -> None:
    assume(np.std(values) > 1e-3)
    paired = Paired.of(values)
    interval = paired.interval(level)
    assert interval is not None
    assume(min(abs(bound - end) for end in interval) > 1e-6)
    assert (interval[0] > bound) == (paired.p_above(bound) < level / 2)
    assert (interval[1] < bound) == (paired.p_below(bound) < level / 2)


@given(VALUES)
def test_a_stricter_level_gives_a_wider_interval(values: list[float]) -> None:
    assume(np.std(values) > 1e-3)
    widths = [Paired.of(values).half_width(level) for level in (0.2, 0.05, 0.02, 0.001)]
    assert all(a < b for a, b in pairwise(widths))


def test_one_pair_says_nothing() -> None:
    paired = Paired.of([0.3])
    assert (paired.p_above(0), paired.p_below(1), paired.interval(0.05)) == (1.0, 1.0, None)
    assert math.isnan(paired.half_width(0.05))


def test_bounds_that_are_no_bounds() -> None:
    paired = Paired.of([0.1, 0.2, 0.3])
    assert (paired.p_above(-math.inf), paired.p_below(math.inf)) == (0.0, 0.0)
    assert (paired.p_above(math.inf), paired.p_below(-math.inf)) == (1.0, 1.0)


def test_pairs_without_any_spread() -> None:
    paired = Paired.of([0.25, 0.25, 0.25])
    assert (paired.p_above(0.2), paired.p_below(0.2)) == (0.0, 1.0)
    assert paired.p_above(0.25) == paired.p_below(0.25) == 1.0  # neither above nor below


# Standard deviation and distance in per cent -> pairs for a power of 80 % at 5 %: docs/method.md.
NEEDED = {
    (0.5, 1): 5, (0.5, 2): 3, (0.5, 5): 3, (0.5, 10): 3,
    (1, 1): 10, (1, 2): 5, (1, 5): 3, (1, 10): 3,
    (2, 1): 34, (2, 2): 10, (2, 5): 4, (2, 10): 3,
    (3, 1): 73, (3, 2): 20, (3, 5): 6, (3, 10): 3,
    (5, 1): 199, (5, 2): 52, (5, 5): 10, (5, 10): 5,
}  # fmt: skip


@pytest.mark.parametrize(("spread", "distance"), NEEDED)
def test_pairs_needed_are_those_of_the_method(spread: float, distance: float) -> None:
    """The table is of the noncentral t distribution; two quantiles added up come within one pair of it."""
    found = pairs_needed(spread / 100, distance / 100, 0.05)
    assert abs(found - NEEDED[spread, distance]) <= 1


@pytest.mark.parametrize(("spread", "distance"), [(0.02, 0.02), (0.03, 0.02), (0.05, 0.05)])
def test_pairs_needed_give_the_power_that_they_promise(spread: float, distance: float) -> None:
    pairs = pairs_needed(spread, distance, 0.05)
    rng = np.random.default_rng(5)
    draws = rng.normal(distance, spread, (4_000, pairs))
    found = np.mean([Paired.of(values).p_above(0.0) <= 0.025 for values in draws])
    assert 0.76 < found < 0.88  # 80 %, and a pair more where the number is rounded up


@given(st.floats(1e-4, 0.5), st.floats(1e-4, 0.5), LEVELS)
def test_pairs_needed_grow_with_spread_and_shrink_with_distance(sd: float, distance: float, level: float) -> None:
    found = pairs_needed(sd, distance, level)
    assert 2 <= found <= MOST_PAIRS
    assert pairs_needed(2 * sd, distance, level) >= found >= pairs_needed(sd, 2 * distance, level)
    assert pairs_needed(sd, distance, level / 2) >= found


def test_no_distance_needs_more_pairs_than_anybody_measures() -> None:
    assert pairs_needed(0.01, 0.0, 0.05) == pairs_needed(0.01, math.nan, 0.05) == MOST_PAIRS


@given(st.integers(0, 2**32), st.integers(6, 14), st.sampled_from([0.05, 0.1]), BOUNDS)
def test_ranks_leave_out_what_an_exact_wilcoxon_test_rejects(seed: int, n: int, level: float, centre: float) -> None:
    """The interval and scipy's exact test are two sides of one thing. Drawn values have no ties and no zeros."""
    values = np.random.default_rng(seed).normal(0, 1, n)
    found = hodges_lehmann(list(values), level)
    assert found is not None
    test = stats.wilcoxon(values - centre, method="exact")
    assert (found[0] < centre < found[1]) == (test.pvalue > level)


def test_ranks_of_too_few_or_of_very_many() -> None:
    assert hodges_lehmann([0.1, 0.2, 0.3, 0.4, 0.5], 0.05) is None  # the least level of five is 1/16
    assert hodges_lehmann([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.05) == (0.1, 0.6)
    assert hodges_lehmann(list(np.linspace(0, 1, MOST_RANKED)), 0.05) is not None
    assert hodges_lehmann(list(np.linspace(0, 1, MOST_RANKED + 1)), 0.05) is None


def test_the_rank_interval_of_many_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(3).normal(0, 1, MOST_RANKED)
    found = hodges_lehmann(list(values), 0.05)
    assert found is not None
    n = len(values)
    averages = np.sort([(values[i] + values[j]) / 2 for i in range(n) for j in range(i, n)])
    cut = round(n * (n + 1) / 4 - 1.96 * math.sqrt(n * (n + 1) * (2 * n + 1) / 24))
    assert found[0] == pytest.approx(averages[cut], abs=0.002)
    assert found[1] == pytest.approx(averages[-cut], abs=0.002)


@given(st.floats(-1e4, 1e4))
def test_a_ratio_is_always_a_number(logarithm: float) -> None:
    found = ratio(logarithm)
    assert math.isfinite(found)
    if abs(logarithm) < 700:
        assert found == pytest.approx(math.exp(logarithm))
