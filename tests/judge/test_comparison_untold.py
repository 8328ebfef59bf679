"""What a slow candidate stops telling stays asked, and what it lost is told. Runs that nobody measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from made_up_runs import accuracy, latency, plan, run

from bench.judge.compare.across import across
from bench.judge.compare.comparison import Comparison, Outcome
from bench.judge.compare.lost import Losses, broke
from bench.judge.compare.within import next_look, within
from bench.records import PlannedTrial, Thresholds
from bench.stored import StoredRun

BOTH = {"full": ("fp32",), "full.container": ("fp32",)}
SIDES = {"container": "process"}


def versions(candidate: Mapping[int, Mapping[str, Any]], blocks: int = 10, **base: Any) -> StoredRun:
    """What each trial of the base tells, and from which block on the candidate tells something else."""

    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        wobble = 0.002 * (-1 if planned.block % 2 else 1)
        found = {"throughput_per_s": 100 * math.exp(wobble * (planned.isolation == "process")), **base}
        if planned.isolation == "process":
            for _, fields in (item for item in candidate.items() if item[0] <= planned.block):
                found |= fields
        return found

    return run(plan(BOTH, blocks=blocks, against=SIDES), told)


def tail(p99_ms: float, requests: int) -> dict[str, Any]:
    one = latency(1.0).model_copy(update={"p99": p99_ms})
    return {"latency_ms": one, "tenant_latency_ms": (one,), "tenant_requests": (requests,)}


def joules(told: float | None) -> dict[str, Any]:
    return {"telemetry": {} if told is None else {"energy_per_item_j": told}}


def of(comparison: Comparison, metric: str) -> Outcome:
    (found,) = (outcome for outcome in comparison.outcomes if outcome.metric == metric)
    return found


# --- a metric that the candidate stops telling ---


def test_a_p99_that_the_slower_side_has_too_few_requests_for_is_open() -> None:
    comparison = within(versions({1: tail(1.4, 4836)}, **tail(1.0, 5200)))
    outcome = of(comparison, "p99")
    assert outcome.outcome == "not_enough_evidence" and "one trial had 4836" in outcome.reason
    assert comparison.exit_code == 4


def test_a_p99_of_other_batches_is_open() -> None:
    comparison = within(versions({1: {**tail(1.4, 5200), "batch_size": 2}}, **tail(1.0, 5200)))
    assert "only equal ones compare" in of(comparison, "p99").reason and comparison.exit_code == 4


def test_an_alarm_stands_when_a_later_trial_tells_no_p99() -> None:
    slow = versions({1: tail(1.3, 5001), 15: tail(1.3, 4990)}, 20, **tail(1.0, 5200))
    outcome = of(within(slow), "p99")
    assert (outcome.outcome, outcome.blocks) == ("regressed", 10)


def test_what_the_base_stops_telling_later_stays_asked() -> None:
    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        wild = 1 + 0.2 * (-1) ** planned.block * (planned.isolation == "process")
        return tail(wild, 4990 if planned.block > 10 and planned.isolation == "container" else 5200)

    outcome = of(within(run(plan(BOTH, blocks=20, against=SIDES), told)), "p99")
    assert outcome.outcome == "not_enough_evidence" and "one trial had 4990" in outcome.reason


def test_a_p99_that_the_base_does_not_tell_is_not_asked() -> None:
    told = within(versions({1: tail(1.4, 5200)}, **tail(1.0, 4000)))
    assert {outcome.metric for outcome in told.outcomes} == {"throughput"} and told.exit_code == 0


@pytest.mark.parametrize(("blocks", "last", "missing"), [(10, 0, "10 of 10"), (10, 7, "3 of 10"), (20, 14, "6 of 20")])
def test_energy_that_the_candidate_does_not_tell_is_open(blocks: int, last: int, missing: str) -> None:
    # a spread so wide that nothing is decided before
    known = {block: joules(2.0 * (1 + 0.3 * (-1) ** block)) for block in range(1, last + 1)}
    comparison = within(versions({**known, last + 1: joules(None)}, blocks, **joules(2.0)))
    outcome = of(comparison, "energy")
    assert outcome.outcome == "not_enough_evidence" and comparison.exit_code == 4
    assert f"{missing} blocks lost; most often the candidate told no energy" in outcome.reason
    note = f"fp32 on full: the candidate told no energy in {missing.split()[0]} blocks"
    assert note in comparison.notes


def test_an_alarm_on_energy_stands_when_the_candidate_tells_none_later() -> None:
    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.isolation == "container":
            return joules(2.0 + 0.001 * planned.block)
        return joules(2.5 if planned.block <= 10 else None)

    outcome = of(within(run(plan(BOTH, blocks=20, against=SIDES), told)), "energy")
    assert (outcome.outcome, outcome.blocks) == ("regressed", 10)


# --- blocks that the candidate lost ---


def lossy(lost: range, older: range = range(0), **fields: Any) -> StoredRun:
    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        blocks = lost if planned.isolation == "process" else older
        wobble = 0.002 * (-1 if planned.block % 2 else 1)
        return fields if planned.block in blocks else {"throughput_per_s": 100 * math.exp(wobble)}

    return run(plan(BOTH, blocks=20, looks=(20, 40), look_level=0.025, against=SIDES), told)


BROKEN: Mapping[str, Any] = {"status": "failed", "reason": "CUDA out of memory", "throughput_per_s": None}
HOT: Mapping[str, Any] = {"status": "invalid", "reason": "throttled for 3 s"}


def test_a_candidate_that_breaks_more_often_than_the_base_does_not_pass() -> None:
    stored = lossy(range(3, 7), **BROKEN)
    comparison = within(stored)
    (outcome,) = comparison.outcomes
    assert outcome.outcome == "not_enough_evidence" and comparison.exit_code == 4
    words = "the candidate broke in 4 of 20 blocks, and the base in 0 of 20: CUDA out of memory"
    assert outcome.reason == words and outcome.more is None and next_look(stored) is None
    assert comparison.notes == (
        ["fp32 on full: blocks lost by the candidate 4 of 20 (4 failed: CUDA out of memory), by the base none of 20"]
    )


def test_where_the_base_breaks_as_often_what_is_left_is_judged() -> None:
    assert within(lossy(range(3, 5), range(7, 9), **BROKEN)).exit_code == 0


def test_blocks_that_the_gate_took_are_told_by_side_and_block_nothing() -> None:
    comparison = within(lossy(range(3, 5), range(8, 9), **HOT))
    assert comparison.exit_code == 0
    (note,) = comparison.notes
    assert "by the candidate 2 of 20 (2 invalid: throttled for 3 s), by the base 1 of 20 (1 invalid" in note
    assert not within(lossy(range(0))).notes


def test_reasons_that_differ_in_numbers_are_one() -> None:
    trials = lossy(range(1, 4), **BROKEN).trials
    own = [t.model_copy(update={"reason": f"out of memory at {t.block}"}) for t in trials if t.isolation == "process"]
    assert str(Losses.of(range(1, 5), own)) == "3 of 4 (3 failed: out of memory at 1)"
    assert str(Losses.of([30], own)) == "1 of 1 (1 its line is missing or cannot be read)"


def test_the_worst_run_of_the_base_is_what_breaking_is_held_to() -> None:
    sound, once = Losses(20, (), ()), Losses(20, ("failed: x",), ())
    assert broke(once, [sound, once]) is None and broke(sound, [sound]) is None
    assert (found := broke(once, [sound])) is not None and found.reason.endswith(
        "1 of 20 blocks, and the base in 0 of 20: x"
    )


def test_a_metric_that_is_left_out_does_not_bar_the_gate() -> None:
    stored = versions({1: tail(1.4, 4836)}, **tail(1.0, 5200))
    assert within(stored, Thresholds(p99=None)).exit_code == 0


# --- runs of different days ---


def night(day: int, level: float = 0.0, **fields: Any) -> StoredRun:
    """One run of one version; `fields`: what its trials tell."""

    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        wobble = 0.002 * (-1 if planned.block % 2 else 1)
        return {"throughput_per_s": 100 * math.exp(wobble - level), **fields}

    return run(plan({"full": ("fp32",)}, blocks=10), told, f"202601{day:02d}-night")


def nights(**fields: Any) -> list[StoredRun]:
    return [night(day, 1e-4 * day, **fields) for day in range(1, 6)]


@pytest.mark.parametrize(
    ("base", "candidate", "metric", "words"),
    [
        (tail(1.0, 5200), tail(1.4, 4836), "p99", "one trial had 4836"),
        (joules(2.0), joules(None), "energy", "20260201-night tells it in 0 of 10 valid blocks"),
    ],
)
def test_what_the_base_runs_tell_and_the_candidate_does_not_is_open(
    base: dict[str, Any], candidate: dict[str, Any], metric: str, words: str
) -> None:
    now = run(plan({"full": ("fp32",)}), lambda planned: candidate, "20260201-night")
    comparison = across(nights(**base), [now], {"throughput": 0.05})
    outcome = of(comparison, metric)
    assert outcome.outcome == "not_enough_evidence" and words in outcome.reason and comparison.exit_code == 4


def test_base_runs_that_do_not_tell_a_metric_are_left_out_of_it_alone() -> None:
    base = [*nights(**joules(2.0)), night(6, **joules(None))]
    comparison = across(base, [night(20, **joules(2.0))], {"throughput": 0.05})
    assert (of(comparison, "energy").base_units, of(comparison, "throughput").base_units) == (5, 6)
    assert comparison.exit_code == 0
    (note,) = comparison.notes
    assert note.startswith("left out: energy of fp32 on full") and "20260106-night" in note


def test_a_candidate_that_breaks_more_often_than_any_base_run_is_open() -> None:
    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        return BROKEN if planned.block in (3, 7) else {}

    broken = run(plan({"full": ("fp32",)}), told, "20260201-night")
    comparison = across(nights(), [broken], {"throughput": 0.05})
    assert comparison.exit_code == 4
    assert "broke in 2 of 10 blocks, and the base in 0 of 10: CUDA" in of(comparison, "throughput").reason
    assert any("by the candidate 2 of 10 (2 failed: CUDA out of memory), by the base none of 50" in note
               for note in comparison.notes)  # fmt: skip
    as_bad = run(plan({"full": ("fp32",)}), told, "20260115-night")
    assert across([*nights(), as_bad], [broken], {"throughput": 0.05}).exit_code == 0


# --- accuracy ---


def graded(day: int, lost: int, **fields: Any) -> StoredRun:
    return night(day, quality=accuracy(1000, lost, 0), **fields)


def test_accuracy_is_held_to_the_last_base_run_that_counts() -> None:
    hot = graded(7, 50, status="invalid", reason="hot")
    comparison = across([graded(6, 2), hot, graded(5, 30)], [graded(20, 8)], {"throughput": None})
    outcome = of(comparison, "quality")
    assert (outcome.outcome, outcome.base) == ("regressed", "20260106-night")
    assert outcome.slow_down == pytest.approx(0.006)


def test_accuracy_of_candidates_that_do_not_count_is_no_evidence() -> None:
    hot = graded(20, 0, status="invalid", reason="hot")
    outcome = of(across([graded(6, 0)], [hot], {"throughput": None}), "quality")
    assert outcome.outcome == "not_enough_evidence" and "10 of 10 blocks lost" in outcome.reason
    beside = across([graded(6, 0)], [hot, graded(21, 8)], {"throughput": None})
    assert (of(beside, "quality").outcome, of(beside, "quality").candidate) == ("regressed", "20260121-night")


def test_accuracy_of_a_base_that_does_not_count_keeps_the_question_open() -> None:
    hot = graded(6, 0, status="invalid", reason="hot")
    for base in ([hot], [hot, night(7)]):
        outcome = of(across(base, [graded(20, 9)], {"throughput": None}), "quality")
        assert outcome.outcome == "not_enough_evidence" and "base: 10 of 10 blocks lost" in outcome.reason
