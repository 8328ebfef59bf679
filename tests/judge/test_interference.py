"""What neighbours cost: the truth that was put in comes out, and nothing is made of what is not there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from arranged_runs import Truth, arranged_run, listed
from hypothesis import given, settings
from made_up_runs import latency

from bench.judge.interference import MOST_DIVISIONS, Beside, Interference, interference
from bench.judge.speedup import SpeedUp
from bench.records import TrialRecord
from bench.stored import StoredRun

HOG = {("time_shared", "hog"): 1.9, ("cpuset", "hog"): 1.02}
NEIGHBOURS = ("alone", "hog")
FACTORS = st.floats(0.2, 50)


def beside(found: Interference, division: str, neighbours: str = "hog", isolation: str = "process") -> Beside:
    (row,) = [r for r in found.beside if (r.division, r.neighbours, r.isolation) == (division, neighbours, isolation)]
    return row


def covers(found: SpeedUp | None, truth: float) -> bool:
    assert found is not None and found.low is not None and found.high is not None
    return found.low <= truth <= found.high


def near(found: SpeedUp | None) -> Any:
    assert found is not None
    return pytest.approx(found.estimate)


def changed(run: StoredRun, change: Callable[[TrialRecord], dict[str, Any] | None]) -> StoredRun:
    """Each trial with other fields, or without it where `change` says None."""
    told = [(trial, change(trial)) for trial in run.trials]
    return replace(run, trials=tuple(trial.model_copy(update=new) for trial, new in told if new is not None))


# --- the truth comes out ---


@settings(max_examples=30)
@given(FACTORS, FACTORS)
def test_without_noise_every_ratio_is_the_truth(shared: float, pinned: float) -> None:
    truth = Truth({("time_shared", "hog"): shared, ("cpuset", "hog"): pinned}, spread=0)
    found = interference(arranged_run(truth, NEIGHBOURS, blocks=3))
    assert near(beside(found, "time_shared").slow_down) == shared
    assert near(beside(found, "time_shared").p99.inflation) == shared
    assert near(beside(found, "cpuset").slow_down) == pinned
    (protection,) = found.protection
    assert (protection.division, protection.other) == ("cpuset", "time_shared")
    assert near(protection.ratio) == pinned / shared


def test_95_of_100_intervals_cover_the_truth() -> None:
    """Of each kind of ratio. Of 400 runs 380 are to be expected, with a standard deviation of 4.4; intervals that took
    the normal distribution for the t would cover 352."""
    truth = Truth(HOG, {"process": 1.0, "box": 0.8})
    hits = dict.fromkeys(("slow_down", "p99", "protection", "isolated"), 0)
    for seed in range(400):
        found = interference(arranged_run(truth, NEIGHBOURS, blocks=5, seed=seed))
        row = beside(found, "time_shared")
        hits["slow_down"] += covers(row.slow_down, 1.9)
        hits["p99"] += covers(row.p99.inflation, 1.9)
        hits["protection"] += covers(found.protection[0].ratio, 1.02 / 1.9)
        hits["isolated"] += covers(found.isolated[0].ratio, 0.8)
    assert all(364 <= number <= 396 for number in hits.values()), hits


def test_a_drifting_machine_moves_no_ratio() -> None:
    """Blocks ten times slower than others: what is paired does not see it."""
    run = arranged_run(Truth(HOG, spread=0), NEIGHBOURS)

    def slower(trial: TrialRecord) -> dict[str, Any]:
        factor = 10.0 if trial.block > 5 else 1.0
        return {"tenant_throughput_per_s": tuple(x / factor for x in trial.tenant_throughput_per_s)}

    found = beside(interference(changed(run, slower)), "time_shared").slow_down
    assert found is not None and (found.low, found.high) == (pytest.approx(1.9), pytest.approx(1.9))


def test_alone_is_on_the_same_division_and_not_the_full_device() -> None:
    """A slot a seventh as fast as the device is no neighbour's fault."""
    truth = Truth({}, slots={"full": 1, "mig_1of7": 7}, alone_per_s={"full": 700.0, "mig_1of7": 100.0}, spread=0)
    found = interference(arranged_run(truth, ("alone", "same"), divisions=["mig_1of7"], full=True))
    assert near(beside(found, "mig_1of7", "same").slow_down) == 1
    (together,) = found.together
    assert near(together.against_full) == 1
    assert (together.tenants, together.jain, together.lowest_share) == (7, pytest.approx(1), pytest.approx(1))


def test_where_all_run_the_workload_the_victim_is_the_first_and_the_sum_is_set_against_full() -> None:
    truth = Truth({("time_shared", "same"): 4.0}, slots={"full": 1, "time_shared": 2}, spread=0)
    run = arranged_run(truth, ("alone", "same"), divisions=["time_shared"], full=True)

    def uneven(trial: TrialRecord) -> dict[str, Any]:
        if trial.division == "full" or trial.neighbours == "alone":
            return {}
        return {"tenant_throughput_per_s": (25.0, 75.0), "throughput_per_s": 100.0}

    found = interference(changed(run, uneven))
    assert near(beside(found, "time_shared", "same").slow_down) == 4
    (together,) = found.together
    assert near(together.against_full) == 1
    assert together.jain == pytest.approx(100**2 / (2 * (25**2 + 75**2))) and together.lowest_share == 0.5
    assert together.full_isolation == "process"


def test_full_of_the_same_isolation_is_preferred_and_otherwise_said() -> None:
    truth = Truth({}, {"process": 1.0, "box": 0.5}, spread=0)
    run = arranged_run(truth, ("alone", "same"), divisions=["time_shared"], full=True)
    boxed = next(row for row in interference(run).together if row.isolation == "box")
    assert boxed.full_isolation == "box" and near(boxed.against_full) == 2
    trials = tuple(trial for trial in run.plan.trials if trial.partition != "full.box")
    without = replace(run, plan=run.plan.model_copy(update={"trials": trials}))
    boxed = next(row for row in interference(without).together if row.isolation == "box")
    assert boxed.full_isolation == "process" and near(boxed.against_full) == 1


def test_isolations_are_compared_beside_the_same_neighbours() -> None:
    truth = Truth(HOG, {"process": 1.0, "container": 0.9}, spread=0)
    found = interference(arranged_run(truth, NEIGHBOURS))
    assert [(row.division, row.neighbours, row.isolation) for row in found.isolated] == [
        (division, neighbours, "container") for division in ("cpuset", "time_shared") for neighbours in NEIGHBOURS
    ]
    assert all(near(row.ratio) == 0.9 for row in found.isolated)


def test_start_up_is_a_speed_too() -> None:
    def timed(trial: TrialRecord) -> dict[str, Any]:
        taken_s = 3.0 if trial.neighbours == "hog" else 2.0
        return {
            "start_up_s": taken_s + 1, "tenant_start_up_s": (taken_s, taken_s + 1), "throughput_per_s": None,
            "tenant_throughput_per_s": (), "tenant_latency_ms": (), "tenant_requests": (),
        }  # fmt: skip

    found = beside(interference(changed(arranged_run(Truth(HOG), NEIGHBOURS), timed)), "cpuset")
    assert near(found.slow_down) == 1.5 and found.p99.inflation is None


# --- what is not there ---


def test_without_alone_there_is_no_slow_down() -> None:
    assert not interference(arranged_run(Truth(HOG), ("same", "hog")))
    assert not interference(arranged_run(Truth(HOG), ("alone",)))


def test_one_block_has_an_estimate_and_no_interval() -> None:
    found = beside(interference(arranged_run(Truth(HOG, spread=0), NEIGHBOURS, blocks=1)), "time_shared").slow_down
    assert found == SpeedUp(pytest.approx(1.9), None, None, 1)


def test_blocks_that_lack_one_side_are_left_out_and_four_cells_make_a_double_difference() -> None:
    run = arranged_run(Truth(HOG), NEIGHBOURS)

    def lost(trial: TrialRecord) -> dict[str, Any] | None:
        if trial.division == "cpuset" and trial.neighbours == "alone" and trial.block <= 3:
            return {"status": "invalid"}
        return None if trial.division == "time_shared" and trial.neighbours == "hog" and trial.block == 4 else {}

    found = interference(changed(run, lost))
    pairs = [row.slow_down.pairs if row.slow_down else 0 for row in found.beside]
    assert pairs == [7, 9]
    assert found.protection[0].ratio is not None and found.protection[0].ratio.pairs == 6


@pytest.mark.parametrize("status", ["invalid", "failed"])
def test_a_victim_that_was_never_valid_keeps_its_row(status: str) -> None:
    run = changed(arranged_run(Truth(HOG), NEIGHBOURS), lambda t: {"status": status} if t.neighbours == "hog" else {})
    found = beside(interference(run), "cpuset")
    assert (found.slow_down, found.p99.inflation, found.p99.fewest, found.neighbours_per_s) == (None, None, 0, None)
    assert interference(run).protection[0].ratio is None


def test_a_p99_of_one_process_with_too_few_requests_is_one_too_many() -> None:
    run = arranged_run(Truth(HOG), NEIGHBOURS)
    few = changed(run, lambda t: {"tenant_requests": (4999,)} if t.block == 4 and t.neighbours == "alone" else {})
    found = beside(interference(few), "cpuset").p99
    assert (found.inflation, found.fewest, found.needed) == (None, 4999, 5000)
    unpaired = changed(few, lambda t: {"status": "invalid"} if t.block == 4 and t.neighbours == "hog" else {})
    told = beside(interference(unpaired), "cpuset").p99
    assert told.fewest == 5000 and told.inflation is not None and told.inflation.pairs == 9


def test_neighbours_are_shown_by_the_median_of_their_sum() -> None:
    run = changed(
        arranged_run(Truth(HOG), NEIGHBOURS, blocks=3),
        lambda t: {"neighbour_throughput_per_s": (1.0, float(t.block))} if t.neighbours == "hog" else {},
    )
    assert beside(interference(run), "cpuset").neighbours_per_s == 3.0


def test_tenants_that_are_listed_are_shown_and_not_judged_as_same() -> None:
    run = listed(arranged_run(Truth({}), ("alone", "same")), (5.0,), "cpuset")
    found = interference(run)
    assert [(row.division, row.neighbours) for row in found.beside] == [("time_shared", "same")]
    assert [row.division for row in found.together] == ["time_shared"]
    (mixed,) = found.mixed
    assert (mixed.partition, mixed.optimization, mixed.neighbours_per_s) == ("cpuset.process.same", "fp32", 5.0)
    assert mixed.workload_per_s == pytest.approx(200, rel=0.05)


def test_the_baseline_measured_again_is_no_optimization() -> None:
    run = arranged_run(Truth(HOG), NEIGHBOURS, optimizations=("fp32", "fp32_again"), again="fp32_again")
    assert {row.optimization for row in interference(run).beside} == {"fp32"}


def test_a_rehearsal_tells_nothing() -> None:
    run = arranged_run(Truth(HOG), NEIGHBOURS)
    assert not interference(replace(run, plan=run.plan.model_copy(update={"rehearsal": True})))


# --- records that anybody may have written ---


def test_thousands_of_divisions_are_not_all_compared() -> None:
    names = [f"d{number:04d}" for number in range(300)]
    truth = Truth({}, slots=dict.fromkeys(names, 2))
    found = interference(arranged_run(truth, NEIGHBOURS, divisions=names, blocks=1))
    assert len(found.beside) == 300 and len(found.protection) == MOST_DIVISIONS * (MOST_DIVISIONS - 1) // 2


SPEEDS = st.sampled_from([0.0, 5e-324, 1e-9, 1.0, 1e12])
UNCHECKED = st.sampled_from([0.0, 5e-324, 1.0, 1.7e308])
"""What reading a run lets through: of neighbours and of start-up it checks no greatest value."""


@settings(max_examples=50)
@given(st.data())
def test_whatever_a_record_says_what_comes_out_is_finite(data: st.DataObject) -> None:
    def spoiled(trial: TrialRecord) -> dict[str, Any] | None:
        if data.draw(st.booleans()):
            return data.draw(st.sampled_from([None, {"status": "failed", "throughput_per_s": None}]))
        many, unchecked = (st.lists(values, max_size=3).map(tuple) for values in (SPEEDS, UNCHECKED))
        return {
            "throughput_per_s": data.draw(st.none() | SPEEDS),
            "tenant_throughput_per_s": data.draw(many),
            "neighbour_throughput_per_s": data.draw(unchecked),
            "start_up_s": data.draw(st.none() | UNCHECKED),
            "tenant_start_up_s": data.draw(unchecked),
            "tenant_latency_ms": tuple(latency(1e-320) for _ in data.draw(many)),
            "tenant_requests": data.draw(st.sampled_from([(), (0,), (5000,), (10**9, 1)])),
        }

    truth = Truth(HOG, {"process": 1.0, "box": 1.0})
    run = arranged_run(truth, ("alone", "hog", "same"), blocks=data.draw(st.integers(1, 3)), full=True)
    found = interference(changed(run, spoiled))
    ratios = [
        ratio
        for row in (*found.beside, *found.together, *found.protection, *found.isolated)
        for ratio in vars(row).values()
        if isinstance(ratio, SpeedUp)
    ]
    for ratio in (*ratios, *(row.p99.inflation for row in found.beside if row.p99.inflation)):
        assert all(math.isfinite(end) for end in (ratio.estimate, ratio.low, ratio.high) if end is not None)
    told = [value for row in (*found.beside, *found.mixed, *found.together) for value in vars(row).values()]
    assert all(math.isfinite(value) for value in told if isinstance(value, float))
