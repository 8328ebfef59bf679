"""The Pareto front against its definition."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings
from made_up_runs import accuracy, latency
from recommended_runs import a100, need

from bench.judge.recommend.candidates import candidates
from bench.judge.recommend.need import Need
from bench.judge.recommend.pareto import Front, badness, front
from bench.judge.recommend.ranking import Levels
from bench.stored import StoredRun

NAMES = ("fp32", "int8", "pruned")
numbers = st.tuples(st.sampled_from([10.0, 20.0, 40.0]), st.sampled_from([1.0, 2.0, 4.0]), st.sampled_from([0, 5, 90]))


@settings(max_examples=40)
@given(st.lists(numbers, min_size=3, max_size=3), st.booleans())
def test_nothing_beats_what_is_on_it_and_something_beats_the_rest(rows: list[Any], priced: bool) -> None:
    measured = {
        ("full", name): {
            "throughput_per_s": per_s,
            "tenant_latency_ms": (latency(p50_ms),),
            "quality": accuracy(10_000, lost, 0),
        }
        for name, (per_s, p50_ms, lost) in zip(NAMES, rows, strict=True)
    }
    wanted = need(p99_ms=10, **({"prices": {"price_per_hour": 1}} if priced else {}))
    found = candidates(a100(["full"], NAMES, measured=measured), wanted)
    levels = Levels(found)
    result = front(found, wanted, levels)
    assert result.axes == ("cost" if priced else "throughput", "p99", "quality")

    def worse_or_equal(one: Any, other: Any) -> bool:
        return all((badness(one, axis, levels) or 0) >= (badness(other, axis, levels) or 0) for axis in result.axes)

    for candidate in found:
        beaten = any(worse_or_equal(candidate, other) and not worse_or_equal(other, candidate) for other in found)
        assert beaten != any(candidate is member for member in result.members)


def of(run: StoredRun, wanted: Need) -> Front:
    found = candidates(run, wanted)
    return front(found, wanted, Levels(found))


def test_an_axis_that_nobody_asked_for_counts_where_all_have_it() -> None:
    wanted = need(throughput_per_s=10)
    assert of(a100(), wanted).axes == ("throughput", "p99", "quality")
    assert of(a100(requests=10), wanted).axes == ("throughput", "quality")
    asked_for = need(p99_ms=10)
    found = of(a100(["full"], requests=10), asked_for)
    assert found.axes == ("throughput", "p99", "quality") and not found.members and len(found.unplaced) == 3
    assert front([], wanted, Levels([])).members == ()
