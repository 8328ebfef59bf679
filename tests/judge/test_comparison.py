"""Outcomes of a comparison: what is matched, what is said, and what keeps a series open. Runs that nobody measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from compared_runs import NEWER, OLDER, is_older
from hypothesis import given
from hypothesis import strategies as st
from made_up_runs import accuracy, infeasible, plan, run

from bench.judge.compare.across import across
from bench.judge.compare.comparison import Comparison, Outcome, Shift, Test, decide, to_json
from bench.judge.compare.day_to_day import Sample, apart
from bench.judge.compare.days import days
from bench.judge.compare.matched import parts_of
from bench.judge.compare.within import next_look, within
from bench.judge.series import Series
from bench.records import Imported, PlannedTrial, Thresholds
from bench.stored import StoredRun

BOTH = {"full": ("fp32", "int8_ort"), "full.container": ("fp32", "int8_ort")}
SIDES = {"container": "process"}


def versions(slow_down: float = 0.0, spread: float = 0.004, older: Mapping[str, Any] = {}, **fields: Any) -> StoredRun:
    """One run of two versions: the newer is slower in int8_ort alone, and every other block `spread` apart."""

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.isolation == "container":
            return older
        wobble = spread * (-1 if planned.block % 2 else 1)
        slower = slow_down if planned.optimization == "int8_ort" else 0.0
        return {"throughput_per_s": 100 * math.exp(wobble - slower)}

    return run(plan(BOTH, **{"against": SIDES, **fields}), measured)


def of_day(name: str, level: float = 0.0, cells: Mapping[str, Any] = {"full": ("fp32",)}, **fields: Any) -> StoredRun:
    """One run of one version; names that begin with a date tell when."""
    measured = fields.pop("measured", {})

    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        wobble = 0.004 * (-1 if planned.block % 2 else 1)
        return {"throughput_per_s": 100 * math.exp(wobble - level), **measured}

    return run(plan(cells, **fields), told, name)


def of(comparison: Comparison, optimization: str, metric: str = "throughput") -> Outcome:
    (found,) = (o for o in comparison.outcomes if (o.series.optimization, o.metric) == (optimization, metric))
    return found


# --- within one run ---


def test_a_slower_version_is_found_and_the_series_is_named() -> None:
    comparison = within(versions(math.log1p(0.05)))
    slow, same = of(comparison, "int8_ort"), of(comparison, "fp32")
    assert (slow.outcome, same.outcome, comparison.exit_code) == ("regressed", "not_regressed", 1)
    assert slow.slow_down == pytest.approx(0.05) and slow.ratio and slow.ratio.estimate == pytest.approx(1 / 1.05)
    assert "5 % slower" in slow.reason and "1 % on it matters" in slow.reason
    assert (slow.series.partition, slow.base, slow.candidate) == ("full", "container", "process")
    assert (slow.base_units, slow.candidate_units, slow.unit) == (10, 10, "block")


def test_a_slow_down_below_the_threshold_passes_and_is_said() -> None:
    outcome = of(within(versions(0.004, spread=0.001)), "int8_ort")
    assert outcome.outcome == "not_regressed" and "below the threshold of 1 %" in outcome.reason
    assert of(within(versions(-0.05)), "int8_ort").reason.startswith("5.13 % faster")


def test_what_is_open_says_how_many_blocks_would_decide_it_and_only_that_goes_on() -> None:
    stored = versions(0.005, spread=0.01)
    outcome = of(within(stored), "int8_ort")
    assert outcome.outcome == "not_enough_evidence" and outcome.more and "more blocks would decide" in outcome.reason
    look = next_look(stored)
    assert look and look.cells == {"full": ("int8_ort",), "full.container": ("int8_ort",)}
    assert (look.blocks, look.open) == (20, 1)
    assert next_look(versions(0.05)) is None


def test_an_outcome_that_was_drawn_stands() -> None:
    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        slower = 0.05 if planned.isolation == "process" and planned.block <= 10 else 0.0
        return {"throughput_per_s": 100 * math.exp(0.002 * (-1) ** planned.block - slower)}

    outcome = of(within(run(plan(BOTH, blocks=20, against=SIDES), measured)), "int8_ort")
    assert (outcome.outcome, outcome.blocks) == ("regressed", 10)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"blocks": 2}, "the first look is at 10"),
        ({"blocks": 4, "looks": (4,), "look_level": 0.05}, "4 valid pairs of blocks, and 5 are the least"),
        ({"looks": (), "look_level": None, "protocol": "smoke"}, "draw no verdicts"),
        ({"older": {"status": "failed", "reason": "it broke", "throughput_per_s": None}}, "10 of 10 blocks lost"),
    ],
)
def test_obstacles(fields: dict[str, Any], words: str) -> None:
    comparison = within(versions(0.3, **fields))
    assert comparison.exit_code == 4
    assert all(words in outcome.reason for outcome in comparison.outcomes)


def test_too_few_pairs_ask_for_more_blocks_and_lasting_losses_do_not() -> None:
    few = versions(blocks=4, looks=(4, 8), look_level=0.025)
    assert (look := next_look(few)) is not None and look.blocks == 8
    assert next_look(versions(older={"status": "failed", "throughput_per_s": None})) is None


def test_p99_needs_its_requests_and_equal_batches() -> None:
    slow = {"tenant_requests": (5000,)}
    stored = run(plan(BOTH, against=SIDES), lambda planned: slow)
    assert of(within(stored), "fp32", "p99").outcome == "not_regressed"
    assert {o.metric for o in within(run(plan(BOTH, against=SIDES), lambda p: {})).outcomes} == {"throughput"}
    planned = run(plan(BOTH, against=SIDES, min_requests=5000), lambda p: {})
    assert "a p99 needs 5000 requests" in of(within(planned), "fp32", "p99").reason

    def batches(p: PlannedTrial) -> Mapping[str, Any]:
        return {**slow, "batch_size": 1 + (p.isolation == "container")}

    other = run(plan(BOTH, against=SIDES, min_requests=5000), batches)
    assert "only equal ones" in of(within(other), "fp32", "p99").reason


def test_energy_where_all_but_a_fifth_of_the_blocks_tell() -> None:
    def measured(known: int) -> StoredRun:
        def told(p: PlannedTrial) -> Mapping[str, Any]:
            joules = 2.2 if p.isolation == "process" else 2.0
            return {"telemetry": {"energy_per_item_j": joules + 0.001 * p.block} if p.block <= known else {}}

        return run(plan(BOTH, against=SIDES), told)

    outcome = of(within(measured(9)), "fp32", "energy")
    assert outcome.outcome == "regressed" and "more energy for each item" in outcome.reason
    assert outcome.base_units == 9
    assert {o.metric for o in within(measured(7)).outcomes} == {"throughput"}


def test_start_up_is_a_metric_of_its_own() -> None:
    def told(p: PlannedTrial) -> Mapping[str, Any]:
        start_s = 2.0 * (1.2 if p.isolation == "process" else 1.0) * (1 + 0.001 * (p.block % 3))
        return {"start_up_s": start_s, "throughput_per_s": None, "tenant_start_up_s": (start_s,)}

    comparison = within(run(plan(BOTH, against=SIDES, measures="start_up"), told))
    assert {outcome.metric for outcome in comparison.outcomes} == {"start_up"}
    assert "slower to start" in comparison.outcomes[0].reason and comparison.exit_code == 1


def test_accuracy_is_counted_on_the_same_items() -> None:
    def graded(old: int, new: int, items: int = 1000) -> Outcome:
        def told(p: PlannedTrial) -> Mapping[str, Any]:
            older = p.isolation == "container"
            return {"quality": accuracy(1000 if older else items, old if older else new, 0)}

        return of(within(run(plan(BOTH, against=SIDES), told)), "fp32", "quality")

    worse = graded(0, 6)
    assert worse.outcome == "regressed" and "on 1000 items" in worse.reason and worse.slow_down == pytest.approx(0.006)
    assert graded(0, 5).outcome == "regressed"  # "from 0.50 % on it matters"
    assert graded(0, 4).outcome == "not_regressed"
    assert "gained" in graded(6, 0).reason
    assert graded(0, 0).reason.startswith("the same accuracy")
    assert graded(0, 0, items=900).outcome == "not_enough_evidence"


def test_thresholds_are_the_plans_and_none_switches_off() -> None:
    lenient = Thresholds(throughput=0.1)
    assert of(within(versions(0.05, thresholds=lenient)), "int8_ort").outcome == "not_regressed"
    assert of(within(versions(0.05), lenient), "int8_ort").outcome == "not_regressed"
    nothing = within(versions(0.05), Thresholds(throughput=None))
    assert (list(nothing.outcomes), nothing.exit_code) == ([], 4)


def test_what_one_side_lacks_is_told() -> None:
    missing = infeasible("full", "int8_ort", "needs a library").model_copy(
        update={"division": "full", "isolation": "process"}
    )
    base_alone = plan({"full": ("fp32",), "full.container": ("fp32", "int8_ort")}, against=SIDES, infeasible=(missing,))
    comparison = within(run(base_alone, lambda planned: {}))
    outcome = of(comparison, "int8_ort")
    assert outcome.outcome == "not_enough_evidence" and "infeasible: needs a library" in outcome.reason
    newer_alone = plan({"full": ("fp32", "int8_ort"), "full.container": ("fp32",)}, against=SIDES)
    comparison = within(run(newer_alone, lambda planned: {}))
    assert [o.series.optimization for o in comparison.outcomes] == ["fp32"]
    assert any("only the candidate measured int8_ort" in note for note in comparison.notes)


def test_the_version_is_called_what_its_trials_tell() -> None:
    def told(p: PlannedTrial) -> Mapping[str, Any]:
        return {"confinement": {"version": {"commit": "0123456789abcdef"}}} if p.isolation == "container" else {}

    comparison = within(run(plan(BOTH, against=SIDES), told))
    assert (comparison.base, comparison.candidate) == ("commit 0123456789ab", "this version")
    mine = {"fingerprint": {"commit": "of bench", "project_commit": "aaaaaaaaaaaa-dirty"}}
    tonight = dataclasses.replace(run(plan(BOTH, against=SIDES), told), description=mine)
    assert list(map(str, within(tonight).differs)) == ["commit 0123456789ab → aaaaaaaaaaaa-dirty"]
    equal = dataclasses.replace(tonight, description={"fingerprint": {"project_commit": "0123456789ab"}})
    assert not within(equal).differs
    strange = {"confinement": {"version": {"commit": ["x"], "packages": {"a": 1, "b": {}}}}}
    assert within(versions(older=strange)).base == "container"


# --- runs of different days ---


def nights(count: int, **fields: Any) -> list[StoredRun]:
    return [of_day(f"2026010{index + 1}-night", 0.002 * (index % 3) + 1e-4 * index, **fields) for index in range(count)]


def test_three_base_runs_measure_the_days_and_one_needs_an_assumption() -> None:
    measured = across(nights(4), [of_day("now", 0.1)])
    (outcome,) = measured.outcomes
    assert (outcome.outcome, outcome.assumed, outcome.base_units, outcome.candidate_units) == ("regressed", "", 4, 1)
    (assumed,) = across(nights(1), [of_day("now", 0.1)]).outcomes
    assert assumed.outcome == "regressed" and "1 % from day to day" in assumed.assumed
    assert "nobody measured" in assumed.assumed and "--against" in assumed.assumed
    (said,) = across(nights(1), [of_day("now", 0.1)], day_to_day=0.002).outcomes
    assert "0.2 %" in said.assumed and "as --day-to-day says" in said.assumed
    assert to_json(said)["assumed"] == said.assumed and to_json(outcome)["assumed"] is None


def test_base_runs_that_differ_by_more_than_was_said_are_noted() -> None:
    wild = [of_day(f"2026010{index + 1}-night", 0.05 * index) for index in range(4)]
    assert any("more than --day-to-day says" in note for note in across(wild, [wild[0]], day_to_day=0.001).notes)
    assert not across(nights(4), [of_day("now")], day_to_day=0.01).notes


def test_copies_of_one_run_do_not_make_it_sure() -> None:
    copies = [of_day(name) for name in ("20260101-a", "20260102-b", "20260103-c")]
    comparison = across(copies, [of_day("now", 0.03)])
    (outcome,) = comparison.outcomes
    assert (outcome.base_units, outcome.base) == (1, "20260101-a") and "nobody measured" in outcome.assumed
    assert (
        "left out: fp32 on full, specimen single_stream of 20260103-c: it is a copy of 20260101-a" in comparison.notes
    )


def test_runs_of_one_job_are_one_day_on_either_side() -> None:
    job = [of_day(f"20260101-0{hour}0000", 0.001 * hour) for hour in range(5)]
    comparison = across(job, [of_day("20260109-010000", 0.1), of_day("20260109-020000", 0.101)])
    (outcome,) = comparison.outcomes
    assert (outcome.base_units, outcome.candidate_units, outcome.unit) == (1, 1, "day")
    assert "three or more days would measure it" in outcome.assumed
    assert any(note.startswith("5 base runs are of 1 day: ") for note in comparison.notes)
    assert outcome.slow_down == pytest.approx(math.exp(0.0985) - 1)
    undated = [of_day(name, level) for name, level in (("a", 0.0), ("b", 0.001), ("c", 0.002))]
    assert across(undated, [of_day("now", 0.1)]).outcomes[0].base_units == 1


def test_a_day_ends_after_six_hours_without_a_run_and_after_twenty_four() -> None:
    def grouped(*names: str) -> list[int]:
        parts = [part for name in names for _, part in parts_of(of_day(name))]
        return [len(day) for day in days(parts)]

    assert grouped("20260101-220000", "20260102-040000", "20260102-100001") == [2, 1]
    assert grouped(*(f"202601{1 + hour // 24:02d}-{hour % 24:02d}0000" for hour in range(0, 48, 5))) == [5, 5]
    assert grouped("nameless", "20260101", "another") == [2, 1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"blocks": 2}, "the first look is at 10"),
        ({"measured": {"batch_size": 8}}, "batches of 1 items, and the candidate's have 8"),
        ({"tenants": 2}, "1 tenants against 2"),
        ({"measured": {"status": "invalid", "reason": "too hot"}}, "candidate: 10 of 10 blocks lost"),
        ({"imported": Imported(tool="trtexec", missing=("blocks",))}, "measured by trtexec, which has no blocks"),
        ({"looks": (), "look_level": None, "protocol": "smoke"}, "draw no verdicts"),
    ],
)
def test_what_keeps_a_run_from_counting(fields: dict[str, Any], words: str) -> None:
    comparison = across(nights(3), [of_day("now", 0.5, **fields)])
    (outcome,) = comparison.outcomes
    assert outcome.outcome == "not_enough_evidence" and words in outcome.reason and comparison.exit_code == 4


def test_a_base_run_that_does_not_count_is_left_out_with_its_reason() -> None:
    comparison = across([*nights(3), of_day("short", blocks=3)], [of_day("now", 0.1)])
    assert comparison.outcomes[0].base_units == 3
    assert any("short" in note and "the first look is at 10" in note for note in comparison.notes)


def test_series_that_the_candidate_lacks_are_open_by_name_and_new_ones_are_notes() -> None:
    base = of_day("night", cells={"full": ("fp32", "old")})
    lacking = infeasible("*", "old", "needs a library")
    now = of_day("now", cells={"full": ("fp32", "new")}, infeasible=(lacking,))
    comparison = across([base], [now], {"throughput": 0.2})
    outcome = of(comparison, "old")
    assert outcome.outcome == "not_enough_evidence" and outcome.reason.endswith("infeasible: needs a library")
    assert of(comparison, "fp32").outcome == "not_regressed" and comparison.exit_code == 4
    assert "only the candidate measured new on full" in comparison.notes[0]


def test_second_measurements_and_older_versions_are_no_series() -> None:
    again = of_day("night", cells={"full": ("fp32", "fp32_again")}, again="fp32_again")
    assert [o.series.optimization for o in across([again], [again]).outcomes] == ["fp32"]
    two = versions()
    assert {o.series.partition for o in across([two], [two]).outcomes} == {"full"}


# --- in general ---

shifts = st.builds(
    Shift,
    st.floats(-0.5, 0.5),
    st.floats(1e-4, 0.2),
    st.floats(1, 100),
)
samples = st.lists(
    st.builds(Sample, st.floats(-5, 5), st.floats(1e-4, 0.5), st.integers(5, 40)), min_size=1, max_size=6
)


@given(st.lists(shifts, max_size=8), st.floats(0.001, 0.2))
def test_holm_never_alarms_where_a_single_test_would_not(found: list[Shift], margin: float) -> None:
    tests = [Test(shift, margin) for shift in found]
    for test, decision in zip(tests, decide(tests, 0.05), strict=True):
        (alone,) = decide([test], 0.05)
        assert not decision.alarm or alone.alarm
        assert (decision.word == "not_regressed") == (alone.word == "not_regressed")
        assert decision.word != "regressed" or (test.shift and test.shift.mean > 0)


@given(samples, samples, st.none() | st.floats(0, 0.1))
def test_swapped_sides_mirror_the_slow_down(base: list[Sample], candidate: list[Sample], tau: float | None) -> None:
    there, back = apart(base, candidate, tau).shift, apart(candidate, base, tau).shift
    assert there.mean == pytest.approx(-back.mean, abs=1e-12)
    if tau is not None:
        assert there.error == pytest.approx(back.error) and there.degrees == pytest.approx(back.degrees)


@given(st.floats(0.01, 100), st.integers(0, 2**32 - 1), st.floats(-0.1, 0.1))
def test_twice_as_fast_a_machine_changes_no_outcome(factor: float, seed: int, slow_down: float) -> None:
    def stored(scale: float) -> StoredRun:
        rng = np.random.default_rng(seed)

        def told(p: PlannedTrial) -> Mapping[str, Any]:
            cost = 0.01 * rng.standard_normal() + (slow_down if p.isolation == "process" else 0)
            return {"throughput_per_s": scale * 100 * math.exp(-cost)}

        return run(plan(BOTH, against=SIDES), told)

    one, other = within(stored(1.0)), within(stored(factor))
    assert [o.outcome for o in one.outcomes] == [o.outcome for o in other.outcomes]
    for mine, theirs in zip(one.outcomes, other.outcomes, strict=True):
        assert mine.slow_down == pytest.approx(theirs.slow_down, abs=1e-9)


outcomes = st.lists(
    st.builds(
        Outcome,
        series=st.just(Series("d", "w", "s", "p", "o")),
        metric=st.just("throughput"),
        outcome=st.sampled_from(["regressed", "not_regressed", "not_enough_evidence"]),
        reason=st.just(""),
        threshold=st.just(0.01),
        base=st.just(OLDER),
        candidate=st.just(NEWER),
    ),
    max_size=5,
)


@given(outcomes)
def test_the_exit_code_is_that_of_the_worst(series: list[Outcome]) -> None:
    words = {outcome.outcome for outcome in series}
    code = Comparison("a", "b", series).exit_code
    assert code == (1 if "regressed" in words else 0 if words == {"not_regressed"} else 4)


def test_the_older_side_is_told_by_its_isolation() -> None:
    made = plan({"full": ("fp32",)}).trials[0]
    assert not is_older(made) and is_older(made.model_copy(update={"isolation": OLDER}))
