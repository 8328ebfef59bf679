"""Verdicts over whole runs, all of them made up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from made_up_runs import accuracy, agreement, claim, faster, plan, run

from bench.claims import Claim
from bench.judge.decisions import DECIDED, decisions, holm
from bench.judge.evidence import RunEvidence
from bench.judge.loss import loss_of
from bench.judge.statistics import Paired
from bench.judge.verdicts import Verdict, is_open, judge_run
from bench.records import PlannedTrial
from bench.stored import StoredRun

GOOD, BAD = accuracy(10_000, 20, 10), accuracy(10_000, 400, 10)
BOUNDED = claim(quality_loss_below=0.01)
LOGS = st.lists(st.floats(-1, 1).map(lambda value: round(value, 3)), min_size=2, max_size=20)


def judge(stored: StoredRun, claims: Mapping[str, Claim] | None = None) -> list[Verdict]:
    return judge_run(RunEvidence(stored), claims or {"c": claim()})


def one(stored: StoredRun, asked: Claim | None = None) -> Verdict:
    (verdict,) = judge(stored, {"c": asked or claim()})
    return verdict


def with_quality(quality: Any, ratio: float = 1.35) -> StoredRun:
    speeds = faster({"int8_ort": ratio})
    return run(plan(), lambda planned: {**speeds(planned), "quality": quality})


# --- the p-values of decisions, and Holm's step-down ---


@given(LOGS)
def test_at_most_one_verdict_can_be_drawn(values: list[float]) -> None:
    found = decisions(Paired.of(values), claim(), None)
    assert list(found) == list(DECIDED)
    assert sum(p <= 0.025 for p in found.values()) <= 1


@given(LOGS, st.floats(1.01, 3), st.floats(1.01, 3))
def test_a_verdict_says_what_the_interval_says(values: list[float], low: float, width: float) -> None:
    paired = Paired.of(values)
    if paired.sd < 1e-3:
        return
    asked = claim(reading="range", low=low, high=low * width)
    found = decisions(paired, asked, None)
    interval = paired.interval(0.05)
    assert interval is not None
    bounds = [math.log(bound) for bound in asked.band]
    if min(abs(end - bound) for end in interval for bound in bounds) < 1e-6:
        return
    assert (found["confirmed"] <= 0.025) == (bounds[0] < interval[0] and interval[1] < bounds[1])
    assert (found["refuted"] <= 0.025) == (interval[1] < bounds[0])
    assert (found["exceeded"] <= 0.025) == (interval[0] > bounds[1])


def test_at_least_is_never_exceeded_and_up_to_begins_at_one() -> None:
    quick = Paired.of([2.0, 2.1, 2.2, 2.15])
    assert decisions(quick, claim(reading="at_least", low=2.0), None) == {
        "confirmed": pytest.approx(0, abs=1e-3), "exceeded": 1.0, "refuted": pytest.approx(1, abs=1e-3),
    }  # fmt: skip
    slow = Paired.of([-0.1, -0.11, -0.12, -0.105])
    assert decisions(slow, claim(reading="up_to", high=2.0), None)["refuted"] < 0.001


def test_quality_can_keep_a_claim_from_being_confirmed_and_can_refute_it() -> None:
    inside = Paired.of([0.29, 0.3, 0.31, 0.3, 0.305, 0.295])  # 1.35x
    good, bad, unknown = (decisions(inside, BOUNDED, found) for found in (loss_of(GOOD), loss_of(BAD), None))
    assert good["confirmed"] < 0.001 and bad["confirmed"] > 0.99 and unknown["confirmed"] == 1.0
    assert bad["refuted"] < 0.001 < good["refuted"] and unknown["refuted"] > 0.99


def holm_by_hand(p_values: list[float], level: float) -> list[bool]:
    """As it is defined: the smallest against level / m, the next against level / (m - 1), until one fails."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    stands = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        stands[index] = True
    return stands


P_VALUES = st.lists(st.floats(0, 0.2), min_size=1, max_size=12)


@given(P_VALUES, st.sampled_from([0.01, 0.025, 0.05]))
def test_holm_is_as_defined(p_values: list[float], level: float) -> None:
    assert [stands for stands, _ in holm(p_values, len(p_values), level)] == holm_by_hand(p_values, level)


def test_holm_by_hand() -> None:
    found = holm([0.01, 0.04, 0.03, 0.005], 4, 0.05)
    assert [stands for stands, _ in found] == [True, False, False, True]
    assert [held for _, held in found] == pytest.approx([0.05 / 3, 0.025, 0.025, 0.0125])


@given(P_VALUES, st.integers(0, 5), st.data())
def test_holm_is_monotone(p_values: list[float], rejected: int, data: st.DataObject) -> None:
    """A smaller p-value never loses what stood, and more that were rejected before only help."""
    family = len(p_values) + rejected
    found = [stands for stands, _ in holm(p_values, family, 0.05)]
    index = data.draw(st.integers(0, len(p_values) - 1))
    smaller = [p / 2 if i == index else p for i, p in enumerate(p_values)]
    assert all(after or not before for before, (after, _) in zip(found, holm(smaller, family, 0.05), strict=True))
    alone = [stands for stands, _ in holm(p_values, len(p_values), 0.05)]
    assert all(b or not a for a, b in zip(found, alone, strict=True))


# --- whole runs ---


@pytest.mark.parametrize(
    ("ratio", "word"), [(1.35, "confirmed"), (1.0, "refuted"), (2.0, "exceeded"), (1.2, "inconclusive")]
)
def test_the_four_answers(ratio: float, word: str) -> None:
    verdict = one(run(plan(), faster({"int8_ort": ratio})))
    assert verdict.verdict == word
    assert verdict.speedup is not None and verdict.speedup.estimate == pytest.approx(ratio, rel=0.002)
    assert (verdict.blocks, verdict.baseline, verdict.optimization, verdict.counted) == (10, "fp32", "int8_ort", True)
    assert (verdict.more_blocks is not None) == (word == "inconclusive")


@pytest.mark.parametrize(
    ("quality", "word", "words"),
    [
        (GOOD, "confirmed", "loss of 0.10 %"),
        (BAD, "refuted", "quality lost 3.90 %"),
        (None, "inconclusive", "there is no quality evidence"),
        (accuracy(500, 1, 1), "inconclusive", "500 items cannot show a loss below 1.00 %"),
        (accuracy(10_000, 100, 10), "inconclusive", "is not settled against 1.00 %"),
        (agreement(10_000, 5), "confirmed", "0.05 % of answers changed"),
        (agreement(10_000, 900), "inconclusive", "does not show a loss below 1.00 %"),
    ],
)
def test_speed_and_quality_are_both_needed(quality: Any, word: str, words: str) -> None:
    verdict = one(with_quality(quality), BOUNDED)
    assert (verdict.verdict, verdict.quality_margin) == (word, 0.01), verdict.reason
    assert words in verdict.reason


def test_quality_against_another_baseline_than_the_claimed_one_is_no_evidence() -> None:
    """The run counts its losses against bf16, and the claim speaks of fp32."""
    speeds = faster({"int8_ort": 1.35})
    quality = GOOD.model_copy(update={"baseline": "bf16"})
    made = plan({"full": ("bf16", "fp32", "int8_ort")}, baseline="bf16", same_runtime={"int8_ort": "bf16"})
    stored = run(made, lambda planned: {**speeds(planned), "quality": quality})
    claimed, same = judge(stored, {"c": BOUNDED})
    assert (claimed.verdict, claimed.quality) == ("inconclusive", None)
    assert "there is no quality evidence" in claimed.reason
    assert (same.role, same.verdict) == ("same_runtime", "confirmed")


def test_good_quality_does_not_save_a_claim_from_its_speed() -> None:
    assert one(with_quality(GOOD, ratio=1.0), BOUNDED).verdict == "refuted"


def test_trials_in_the_wrong_precision_are_lost_and_too_many_make_it_invalid() -> None:
    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.optimization == "int8_ort" and planned.block <= 3:
            reason = "executed in fp32, and int8 was asked for"
            return {"status": "invalid", "reason": reason, "throughput_per_s": 900.0}
        return faster({"int8_ort": 1.35})(planned)

    verdict = one(run(plan(), measured))
    assert (verdict.verdict, verdict.lost_blocks) == ("invalid", 3)
    assert "3 of 10 blocks lost" in verdict.reason and "executed in fp32" in verdict.reason
    assert verdict.speedup is not None and verdict.speedup.estimate < 1.4  # what they measured is not in it


def test_a_fifth_of_the_blocks_may_be_lost() -> None:
    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.block <= 2 and planned.optimization == "fp32":
            return {"status": "failed", "reason": "out of memory", "throughput_per_s": None}
        return faster({"int8_ort": 1.35})(planned)

    verdict = one(run(plan(), measured))
    assert (verdict.verdict, verdict.lost_blocks) == ("confirmed", 2)
    assert verdict.speedup is not None and verdict.speedup.pairs == 8


def test_a_run_that_failed_altogether_is_invalid() -> None:
    broken = run(plan(), lambda planned: {"status": "failed", "reason": "no", "throughput_per_s": None})
    verdict = one(broken)
    assert (verdict.verdict, verdict.speedup, verdict.lost_blocks) == ("invalid", None, 10)


def test_a_claim_that_is_finer_than_the_noise_floor_is_declined() -> None:
    """fp32 against itself spreads by a tenth here, so 2 % cannot be told."""
    cells = {"full": ("fp32", "fp32_again", "int8_ort")}
    stored = run(plan(cells, again="fp32_again"), faster({"int8_ort": 1.35, "fp32_again": 1.0}, spread=0.1))
    narrow = one(stored, claim(reading="range", low=1.35, high=1.36))
    assert narrow.verdict == "not_testable" and "noise floor" in narrow.reason
    assert is_open(narrow, stored.plan)  # more blocks lower the floor
    wide = one(stored, claim(reading="range", low=1.1, high=2.0))
    assert wide.verdict == "confirmed"


def test_only_equal_numbers_of_tenants_are_compared() -> None:
    made = plan({"time_shared": ("fp32",), "mig_1of7": ("fp32",)})
    trials = tuple(
        trial.model_copy(update={"tenants": 7 if trial.partition == "mig_1of7" else 2}) for trial in made.trials
    )
    stored = run(made.model_copy(update={"trials": trials}), lambda planned: {})
    asked = claim(contrast="partition", baseline="time_shared", treatments=("mig_*",))
    verdict = one(stored, asked)
    assert verdict.verdict == "not_testable" and "7 tenants against 2" in verdict.reason
    assert (verdict.partition, verdict.baseline) == ("mig_1of7", "time_shared")


def test_the_same_runtime_is_judged_beside_the_claimed_baseline() -> None:
    made = plan({"full": ("fp32", "ort_fp32", "int8_ort")}, same_runtime={"int8_ort": "ort_fp32"})
    found = judge(run(made, faster({"int8_ort": 3.0, "ort_fp32": 2.25})))
    assert [(v.role, v.baseline, v.verdict) for v in found] == [
        ("claimed", "fp32", "exceeded"), ("same_runtime", "ort_fp32", "confirmed"),
    ]  # fmt: skip


def test_smoke_draws_no_verdict() -> None:
    verdict = one(run(plan(blocks=3, protocol="smoke", looks=(), look_level=None), faster({"int8_ort": 9.0})))
    assert (verdict.verdict, verdict.blocks) == ("inconclusive", None)
    assert "no verdicts (protocol smoke)" in verdict.reason


def test_looks_without_a_level_are_none() -> None:
    """No plan of bench's is like that; one from elsewhere might be."""
    verdict = one(run(plan(look_level=None), faster({"int8_ort": 9.0}, spread=0)))
    assert (verdict.verdict, verdict.blocks) == ("inconclusive", None)


@pytest.mark.parametrize(("done", "look"), [(9, None), (10, 10), (14, 10), (19, 10), (20, 20), (39, 20), (40, 40)])
def test_an_interrupted_run_is_judged_at_its_last_complete_look(done: int, look: int | None) -> None:
    whole = run(plan(blocks=40), faster({"int8_ort": 1.2}))  # on the bound: it stays open
    kept = tuple(trial for trial in whole.trials if trial.block <= done)
    verdict = one(StoredRun(whole.folder, {}, whole.plan, kept))
    assert (verdict.blocks, verdict.verdict) == (look, "inconclusive")
    if look is None:
        assert "9 blocks, and the first look is at 10" in verdict.reason
    elif verdict.speedup:
        assert verdict.speedup.pairs == look


def test_one_missing_trial_leaves_its_look_open() -> None:
    whole = run(plan(), faster({"int8_ort": 1.35}))
    found = one(StoredRun(whole.folder, {}, whole.plan, whole.trials[:-1]))
    assert (found.verdict, found.blocks) == ("inconclusive", None)


def test_a_line_that_was_lost_on_the_way_is_a_lost_block_and_no_more() -> None:
    whole = run(plan(), faster({"int8_ort": 1.35}))
    kept = tuple(trial for trial in whole.trials if (trial.block, trial.optimization) != (3, "int8_ort"))
    found = one(StoredRun(whole.folder, {}, whole.plan, kept))
    assert (found.verdict, found.blocks, found.lost_blocks) == ("confirmed", 10, 1)
    assert found.speedup is not None and found.speedup.pairs == 9


@pytest.mark.parametrize(("lost", "goes_on"), [(3, True), (5, True), (6, False)])
def test_blocks_lost_to_a_passing_cause_are_made_up_for(lost: int, goes_on: bool) -> None:
    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        bad = planned.block <= lost and planned.optimization == "int8_ort"
        return {"status": "invalid", "reason": "other processes", "throughput_per_s": 1.0} if bad else {}

    stored = run(plan(), measured)
    found = one(stored)
    assert found.verdict == "invalid" and is_open(found, stored.plan) == goes_on


def test_looks_that_err_too_often_are_refused() -> None:
    for looks, level in (((10, 20, 40), 0.03), ((10, 100, 1000), 0.02), ((10, 10), 0.01)):
        with pytest.raises(ValueError, match="looks"):
            plan(looks=looks, look_level=level)
    assert plan(looks=(10, 20, 40), look_level=0.02).looks == (10, 20, 40)


@given(st.lists(st.floats(0.5, 3), min_size=30, max_size=30))
@settings(max_examples=50)
def test_a_verdict_stands_whatever_is_measured_later(later: list[float]) -> None:
    first = faster({"int8_ort": 1.35})

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.block <= 10 or planned.optimization == "fp32":
            return first(planned)
        return {"throughput_per_s": 100 * later[planned.block - 11]}

    drawn, kept = one(run(plan(), first)), one(run(plan(blocks=40), measured))
    assert kept == drawn and drawn.verdict == "confirmed"


def test_a_quality_that_blocks_cannot_decide_asks_for_no_more_of_them() -> None:
    stored = with_quality(accuracy(500, 1, 1))
    verdict = one(stored, BOUNDED)
    assert verdict.more_blocks is None and not is_open(verdict, stored.plan)


def test_ranks_that_say_otherwise_make_a_verdict_fragile() -> None:
    """Of ten blocks one is a third faster than the others: t takes it for spread, ranks for half of what may be."""

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.optimization == "fp32":
            return {}
        return {"throughput_per_s": 162.0 if planned.block == 1 else 120 + 0.01 * planned.block}

    asked = claim(reading="range", low=1.05, high=1.37)
    verdict, sure = (one(run(plan(), made), asked) for made in (measured, faster({"int8_ort": 1.2})))
    assert (verdict.verdict, verdict.fragile) == ("confirmed", True)
    assert (sure.verdict, sure.fragile) == ("confirmed", False)


@given(st.lists(st.floats(0.8, 2.5), min_size=1, max_size=6), st.sampled_from([10, 20]))
@settings(max_examples=40)
def test_the_more_claims_are_tried_the_wider_the_interval_each_is_held_to(ratios: list[float], blocks: int) -> None:
    names = {f"int8_{index}": ratio for index, ratio in enumerate(ratios)}
    stored = run(plan({"full": ("fp32", *names)}, blocks=blocks), faster(names, spread=0.05))
    found = judge(stored, {"c": claim(treatments=("int8_*",))})
    assert len(found) == len(ratios)
    for verdict in found:
        assert verdict.judged is not None and verdict.speedup is not None and verdict.speedup.low is not None
        assert 0.02 / len(ratios) <= verdict.judged.level + 1e-12 and verdict.judged.level <= 0.02
        assert verdict.judged.low <= verdict.speedup.low and verdict.judged.high >= (verdict.speedup.high or 0)
