"""After a look: only what open verdicts rest on is measured again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hypothesis.strategies as st
from hypothesis import given, settings
from made_up_runs import claim, faster, plan, run

from bench.claims import Claim
from bench.judge.evidence import RunEvidence
from bench.judge.looks import next_look
from bench.judge.verdicts import judge_run
from bench.plan.planner import prolong
from bench.records import Plan
from bench.stored import StoredRun

CELLS = {"cpuset": ("fp32", "int8_clear"), "full": ("fp32", "fp32_again", "int8_clear", "int8_open", "other")}
RATIOS = {"int8_clear": 1.35, "int8_open": 1.2, "other": 3.0}
CLAIMS = {"c": claim(treatments=("int8_*",))}


def first_look(
    ratios: Mapping[str, float] = RATIOS, cells: Mapping[str, Sequence[str]] = CELLS, made: Plan | None = None
) -> StoredRun:
    return run(made or plan(cells, again="fp32_again"), faster(ratios))


def test_later_blocks_hold_only_what_open_verdicts_rest_on() -> None:
    stored = first_look()
    found = next_look(stored, CLAIMS)
    assert found is not None
    assert (found.blocks, found.open) == (20, 1)
    assert found.cells == {"full": ("fp32", "fp32_again", "int8_open")}


def test_prolonged_runs_keep_what_was_planned_and_add_only_that() -> None:
    stored = first_look()
    found = next_look(stored, CLAIMS)
    assert found is not None
    longer = prolong(stored.plan, found.cells, found.blocks)
    assert longer.blocks == 20 and longer.looks == stored.plan.looks
    assert longer.trials[: len(stored.plan.trials)] == stored.plan.trials
    added = longer.trials[len(stored.plan.trials) :]
    assert {trial.block for trial in added} == set(range(11, 21))
    assert {(trial.partition, trial.optimization) for trial in added} == {
        ("full", name) for name in ("fp32", "fp32_again", "int8_open")
    }
    assert len({trial.id for trial in longer.trials}) == len(longer.trials)
    assert longer.estimate.trials_s == stored.plan.estimate.trials_s * len(longer.trials) / len(stored.plan.trials)


def test_looks_go_on_until_all_is_decided_or_the_last_is_taken() -> None:
    stored, totals = first_look(), [10]
    while found := next_look(stored, CLAIMS):
        stored = first_look(made=prolong(stored.plan, found.cells, found.blocks))
        totals.append(stored.plan.blocks)
    assert totals == [10, 20, 40]
    by_name = {(v.partition, v.optimization): v for v in judge_run(RunEvidence(stored), CLAIMS)}
    assert by_name["full", "int8_clear"].blocks == 10 and by_name["full", "int8_clear"].verdict == "confirmed"
    assert by_name["full", "int8_open"].blocks == 40 and by_name["full", "int8_open"].verdict == "inconclusive"


def test_a_baseline_of_another_partition_goes_on_with_its_own_baseline() -> None:
    cells = {"full": ("fp32", "int8_ort"), "mig_1of7": ("fp32", "int8_ort")}
    asked = {"c": claim(contrast="partition", baseline="full", treatments=("mig_*",), reading="at_least", low=1.0)}
    found = next_look(run(plan(cells), faster({"int8_ort": 1.0})), asked)
    assert found is not None and found.open == 2
    assert found.cells == cells


def test_nothing_is_open_without_claims_or_without_verdicts() -> None:
    assert next_look(first_look(), {}) is None
    smoke = run(plan(CELLS, looks=(), look_level=None), faster(RATIOS))
    assert next_look(smoke, CLAIMS) is None
    clear = first_look({"int8_clear": 1.35, "int8_open": 1.34})
    assert next_look(clear, CLAIMS) is None


def test_an_unfinished_run_is_not_prolonged() -> None:
    stored = first_look()
    cut = StoredRun(stored.folder, {}, stored.plan, stored.trials[:-1])
    assert next_look(cut, CLAIMS) is None


@given(st.dictionaries(st.sampled_from([f"int8_{c}" for c in "abcdef"]), st.floats(0.9, 2), min_size=1))
@settings(max_examples=40)
def test_every_open_verdict_has_its_cells_and_no_other_has(ratios: dict[str, float]) -> None:
    claims: dict[str, Claim] = {
        "one": CLAIMS["c"],
        "two": claim(treatments=("int8_*",), low=1.0, high=1.2, reading="range"),
    }
    stored = first_look(ratios, {"full": ("fp32", *ratios)})
    open_names = {v.optimization for v in judge_run(RunEvidence(stored), claims) if v.verdict == "inconclusive"}
    found = next_look(stored, claims)
    assert (found is None) == (not open_names)
    if found:
        assert set(found.cells["full"]) == {"fp32", "fp32_again", *open_names}
