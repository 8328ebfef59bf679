"""Tails: one quantile per process, or "too few"."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up_runs import latency, plan, trial

from bench.judge.tails import Quantile, needed, tail
from bench.records import TrialRecord


def trials(*p50_ms: float, requests: int = 5000, **fields: object) -> list[TrialRecord]:
    """Trials of one tenant, with these medians; p99 is twice the median."""
    planned = [p for p in plan(blocks=len(p50_ms)).trials if p.optimization == "fp32"]
    return [
        trial(p, tenant_latency_ms=(latency(ms),), tenant_requests=(requests,), **fields)
        for p, ms in zip(planned, p50_ms, strict=True)
    ]


@pytest.mark.parametrize(("quantile", "fewest"), [("p50", 6), ("p90", 500), ("p95", 1000), ("p99", 5000)])
def test_a_quantile_needs_fifty_requests_beyond_it(quantile: Quantile, fewest: int) -> None:
    assert needed(quantile) == fewest
    few, enough = (tail(trials(1.0, 1.1, requests=number), quantile) for number in (fewest - 1, fewest))
    assert (few.estimate, few.low, few.fewest, few.needed) == (None, None, fewest - 1, fewest)
    assert enough.estimate is not None and enough.low is not None


def test_one_process_with_too_few_is_one_too_many() -> None:
    assert tail([*trials(1.0, 1.1, 1.2), *trials(1.3, requests=4999)], "p99").estimate is None


def test_the_interval_is_over_processes() -> None:
    found = tail(trials(1.0, 2.0, 4.0), "p50")
    assert found.estimate == pytest.approx(2.0)
    half = 4.302653 * math.log(2) / math.sqrt(3)  # t of 2 degrees of freedom; the logarithms have sd ln 2
    assert (found.low, found.high) == (
        pytest.approx(2 / math.exp(half), rel=1e-6),
        pytest.approx(2 * math.exp(half), rel=1e-6),
    )
    assert tail(trials(1.5), "p50").low is None  # one process has no interval


def test_tenants_of_one_trial_are_averaged() -> None:
    (shared,) = trials(1.0, tenants=2)
    both = shared.model_copy(update={"tenant_latency_ms": (latency(1.0), latency(3.0)), "tenant_requests": (9, 6)})
    found = tail([both], "p50")
    assert (found.estimate, found.fewest) == (pytest.approx(2.0), 6)


def test_only_valid_trials_count() -> None:
    assert tail([*trials(1.0, 1.0), *trials(50.0, status="invalid")], "p50").estimate == pytest.approx(1.0)
    assert tail(trials(1.0, status="failed"), "p50").estimate is None
    assert tail([], "p99").estimate is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """p99 of 5,000 requests of each of ten processes, in which each process has a speed of its own (2 %)."""
    rng = np.random.default_rng(17)
    hits, draws = 0, 400
    truth = math.exp(2.3263479)  # p99 of a lognormal
    for _ in range(draws):
        found = [np.quantile(rng.lognormal(rng.normal(0, 0.02), 1, 5000), 0.99) for _ in range(10)]
        result = tail(trials(*(p99 / 2 for p99 in found)), "p99")
        assert result.low is not None and result.high is not None
        hits += result.low <= truth <= result.high
    assert 0.91 < hits / draws < 0.98  # 95 %, three standard errors and the small bias of a sample quantile
