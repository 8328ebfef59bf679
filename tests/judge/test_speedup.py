"""Speed-ups and their intervals."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from bench.judge.speedup import paired_ratio, speed_up
from bench.records import TrialRecord

POSITIVE = st.floats(1e-3, 1e6)
PAIRS = st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=30)


@given(PAIRS, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_that_of_a_paired_t_test_of_logarithms(
    pairs: list[tuple[float, float]], confidence: float
) -> None:
    treatment, baseline = zip(*pairs, strict=True)
    found = paired_ratio(treatment, baseline, confidence)
    d = np.log(treatment) - np.log(baseline)
    assert found.estimate == pytest.approx(stats.gmean(np.exp(d)), rel=1e-9)
    if d.std() < 1e-9:
        return
    interval = stats.ttest_rel(np.log(treatment), np.log(baseline)).confidence_interval(confidence)
    assert found.low is not None and found.high is not None
    assert math.log(found.low) == pytest.approx(interval.low, rel=1e-6, abs=1e-9)
    assert math.log(found.high) == pytest.approx(interval.high, rel=1e-6, abs=1e-9)


@given(PAIRS)
def test_swapping_the_two_inverts_the_ratio(pairs: list[tuple[float, float]]) -> None:
    treatment, baseline = zip(*pairs, strict=True)
    one, other = paired_ratio(treatment, baseline), paired_ratio(baseline, treatment)
    assert one.estimate == pytest.approx(1 / other.estimate)
    assert one.low == pytest.approx(1 / other.high, rel=1e-6)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    hits, runs, truth = 0, 4000, 1.3
    for _ in range(runs):
        blocks = rng.normal(0, 0.3, 6)  # shared by both, so it must cancel
        baseline = np.exp(blocks + rng.normal(0, 0.02, 6))
        treatment = truth * np.exp(blocks + rng.normal(0, 0.02, 6))
        found = paired_ratio(treatment, baseline)
        hits += found.low <= truth <= found.high
    assert 0.935 < hits / runs < 0.965  # four standard errors either way


def test_one_pair_has_an_estimate_and_no_interval() -> None:
    found = paired_ratio([3.0], [2.0])
    assert (found.estimate, found.low, found.high, found.pairs) == (pytest.approx(1.5), None, None, 1)


def trial(block: int, optimization: str, throughput: float, status: str = "ok", partition: str = "full") -> TrialRecord:
    return TrialRecord(
        id=f"{block}-{partition}-{optimization}", block=block, position=1, workload="w", scenario="s",
        partition=partition, optimization=optimization, tenants=1, device="d", device_kind="cpu", batch_size=1,
        status=status, throughput_per_s=throughput,
    )  # fmt: skip


def test_only_blocks_in_which_both_are_valid_count() -> None:
    trials = [
        trial(1, "fp32", 10), trial(1, "fast", 20),
        trial(2, "fp32", 10), trial(2, "fast", 999, status="invalid"),
        trial(3, "fp32", 999, status="invalid"), trial(3, "fast", 20),
        trial(4, "fast", 20, partition="cpuset"), trial(4, "fp32", 1, partition="cpuset"),
        trial(5, "fp32", 10), trial(5, "fast", 20),
    ]  # fmt: skip
    found = speed_up(trials, "full", "fast", "fp32")
    assert found is not None
    assert (found.pairs, found.estimate) == (2, pytest.approx(2.0))


def test_without_a_common_block_there_is_no_speed_up() -> None:
    assert speed_up([trial(1, "fp32", 1), trial(2, "fast", 1)], "full", "fast", "fp32") is None
    assert speed_up([trial(1, "fp32", 1)], "full", "fp32", "fp32") is None
