"""Speed-ups and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from bench.judge.decisions import Judged
from bench.judge.speedup import SpeedUp, by_cell, differences, speed_up
from bench.judge.statistics import Paired
from bench.records import TrialRecord

POSITIVE = st.floats(1e-3, 1e6)
PAIRS = st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=30)


def paired(treatment: Sequence[float], baseline: Sequence[float]) -> Paired:
    return Paired.of(np.log(treatment) - np.log(baseline))


@given(PAIRS)
def test_the_interval_is_that_of_a_paired_t_test_of_logarithms(pairs: list[tuple[float, float]]) -> None:
    treatment, baseline = zip(*pairs, strict=True)
    found = SpeedUp.of(paired(treatment, baseline))
    d = np.log(treatment) - np.log(baseline)
    assert found.estimate == pytest.approx(stats.gmean(np.exp(d)), rel=1e-9)
    if d.std() < 1e-9:
        return
    interval = stats.ttest_rel(np.log(treatment), np.log(baseline)).confidence_interval(0.95)
    assert found.low is not None and found.high is not None
    assert math.log(found.low) == pytest.approx(interval.low, rel=1e-6, abs=1e-9)
    assert math.log(found.high) == pytest.approx(min(interval.high, 700), rel=1e-6, abs=1e-9)


@given(PAIRS)
def test_swapping_the_two_inverts_the_ratio(pairs: list[tuple[float, float]]) -> None:
    treatment, baseline = zip(*pairs, strict=True)
    one, other = SpeedUp.of(paired(treatment, baseline)), SpeedUp.of(paired(baseline, treatment))
    assert one.estimate == pytest.approx(1 / other.estimate)
    assert one.low == pytest.approx(1 / other.high, rel=1e-6)


def test_one_pair_has_an_estimate_and_no_interval() -> None:
    found = SpeedUp.of(paired([3.0], [2.0]))
    assert (found.estimate, found.low, found.high, found.pairs) == (pytest.approx(1.5), None, None, 1)
    assert str(found) == "1.50x"


def test_two_wild_pairs_have_an_interval_that_is_still_a_number() -> None:
    found = Judged.of(paired([1.0, 100.0], [100.0, 1.0]), level=0.0001)
    assert found is not None and math.isfinite(found.high) and found.low < 1 < found.high


@pytest.mark.parametrize(
    ("low", "high", "text"), [(0.9, 1.1, "1.00x [0.90, 1.10]"), (0.9512, 0.9524, "0.952x [0.951, 0.952]")]
)
def test_a_narrow_interval_is_shown_with_the_digits_that_it_needs(low: float, high: float, text: str) -> None:
    assert str(SpeedUp((low + high) / 2, low, high, 10)) == text


def trial(block: int, optimization: str, throughput: float, status: str = "ok", partition: str = "full") -> TrialRecord:
    return TrialRecord(
        id=f"{block}-{partition}-{optimization}", block=block, position=1, workload="w", scenario="s",
        partition=partition, optimization=optimization, tenants=1, device="d", device_kind="cpu", batch_size=1,
        status=status, throughput_per_s=throughput,
    )  # fmt: skip


def test_only_blocks_in_which_both_are_valid_count() -> None:
    cells = by_cell([
        trial(1, "fp32", 10), trial(1, "fast", 20),
        trial(2, "fp32", 10), trial(2, "fast", 999, status="invalid"),
        trial(3, "fp32", 999, status="invalid"), trial(3, "fast", 20),
        trial(4, "fast", 20, partition="cpuset"), trial(4, "fp32", 1, partition="cpuset"),
        trial(5, "fp32", 10), trial(5, "fast", 20),
    ])  # fmt: skip
    found = speed_up(cells, "full", "fast", "fp32")
    assert found is not None
    assert (found.pairs, found.estimate) == (2, pytest.approx(2.0))
    across = differences(cells, ("cpuset", "fast"), ("full", "fp32"))
    assert across == {}  # block 4 has no fp32 on the full device


def test_without_a_common_block_there_is_no_speed_up() -> None:
    assert speed_up(by_cell([trial(1, "fp32", 1), trial(2, "fast", 1)]), "full", "fast", "fp32") is None
    assert speed_up(by_cell([trial(1, "fp32", 1)]), "full", "fp32", "fp32") is None
