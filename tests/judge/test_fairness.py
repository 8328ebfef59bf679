"""How evenly tenants share a device."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given
from made_up_runs import plan, trial

from bench.judge.fairness import jain, sharing
from bench.records import TrialRecord

SHARES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=16)


def trials(*shares: tuple[float, ...], status: str = "ok") -> list[TrialRecord]:
    planned = [p for p in plan(blocks=len(shares), tenants=len(shares[0])).trials if p.optimization == "fp32"]
    return [
        trial(p, tenant_throughput_per_s=each, throughput_per_s=sum(each), status=status)
        for p, each in zip(planned, shares, strict=True)
    ]


@given(SHARES)
def test_jain_lies_between_one_in_n_and_one(shares: list[float]) -> None:
    assert 1 / len(shares) - 1e-9 <= jain(shares) <= 1 + 1e-9
    assert jain([7 * share for share in shares]) == pytest.approx(jain(shares))
    assert jain([*shares, *shares]) == pytest.approx(jain(shares))


def test_jain_by_hand() -> None:
    assert jain([5, 5, 5]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([3, 1]) == pytest.approx(16 / 20)
    assert jain([1e-300, 1e-300]) == jain([1e300, 1e300]) == 1


def test_what_is_told_of_a_cell() -> None:
    found = sharing(trials((30.0, 10.0), (20.0, 20.0), (25.0, 15.0)))
    assert found is not None
    assert (found.tenants, found.aggregate_per_s, found.per_tenant_per_s) == (2, pytest.approx(40), pytest.approx(20))
    assert found.jain == pytest.approx(1600 / (2 * (625 + 225)))  # the median trial
    assert found.lowest_share == pytest.approx(0.75)


def test_the_aggregate_is_a_geometric_mean_over_trials() -> None:
    found = sharing(trials((1.0, 1.0), (4.0, 4.0)))
    assert found is not None and found.aggregate_per_s == pytest.approx(math.sqrt(2 * 8))


def test_a_tenant_that_starved_shows() -> None:
    found = sharing(trials((10.0, 0.0)))
    assert found is not None and (found.jain, found.lowest_share) == (0.5, 0.0)


def test_nothing_valid_is_nothing() -> None:
    assert sharing([]) is None
    assert sharing(trials((1.0, 1.0), status="invalid")) is None
    assert sharing(trials((0.0, 0.0))) is None
