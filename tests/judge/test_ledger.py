"""The ledger: no claim is ever left out, and nothing counts for hardware that it was not measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from made_up_runs import accuracy, claim, faster, infeasible, plan, run

from bench.claims import Claim, read_claims
from bench.composition import compose_all
from bench.judge.evidence import RunEvidence
from bench.judge.ledger import Entry, ledger, place, to_json
from bench.judge.published import Published
from bench.records import PlannedTrial
from bench.stored import StoredRun

OURS = read_claims(compose_all([], ())[0].config["claims"])
NAMES = st.sampled_from([
    "fp32", "int8_ort", "int8_torchao", "bf16", "ort_fp32", "pruned_structured", "distilled", "torchscript", "other",
])  # fmt: skip
PARTITIONS = st.sampled_from(["full", "mig_1of7", "mig_1of3", "time_shared"])
CELLS = st.dictionaries(PARTITIONS, st.lists(NAMES, min_size=1, max_size=4, unique=True), min_size=1, max_size=3)


def entry(asked: Claim, *runs: StoredRun) -> Entry:
    (found,) = ledger({"c": asked}, runs, {})
    return found


@given(
    CELLS, st.sampled_from(["cpu", "cuda"]), st.integers(1, 12), st.sampled_from([(), (3,), (10, 20)]),
    st.lists(st.tuples(st.sampled_from(["ok", "invalid", "failed", "gone"]), st.floats(1, 1000)), min_size=1),
    st.lists(st.tuples(PARTITIONS | st.just("*"), NAMES | st.just("*")), max_size=3),
)  # fmt: skip
@settings(max_examples=60)
def test_no_claim_is_left_out_whatever_the_run(
    cells: dict[str, list[str]], kind: str, blocks: int, looks: tuple[int, ...],
    fates: list[tuple[str, float]], missing: list[tuple[str, str]],
) -> None:  # fmt: skip
    made = plan(
        cells, blocks=blocks, device_kind=kind, looks=looks, look_level=0.02 if looks else None,
        infeasible=tuple(infeasible(*names, "it is not here") for names in missing),
    )  # fmt: skip

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        status, speed = fates[(planned.block + planned.position) % len(fates)]
        return {"status": "failed" if status == "gone" else status, "throughput_per_s": speed}

    whole = run(made, measured)
    gone = {p.id for p in made.trials if fates[(p.block + p.position) % len(fates)][0] == "gone"}
    stored = replace(whole, trials=tuple(trial for trial in whole.trials if trial.id not in gone))
    entries = ledger(OURS, [stored], {})
    assert [found.name for found in entries] == list(OURS)
    for found in entries:
        assert found.verdicts and all(verdict.reason for verdict in found.verdicts)
        assert any(verdict.counted for verdict in found.verdicts)
        for verdict in found.verdicts:
            assert verdict.claim == found.name
            if kind == "cpu" and found.claim.hardware == "gpu" and verdict.evidence == "measured":
                assert not verdict.counted
    rows = [verdict for found in entries for verdict in found.verdicts if verdict.evidence == "measured"]
    assert len(rows) == len(RunEvidence(stored).contrasts.of(OURS))  # and no contrast either


def test_without_any_run_every_claim_says_what_it_needs() -> None:
    entries = ledger(OURS, [], {})
    assert [found.name for found in entries] == list(OURS)
    for found in entries:
        (verdict,) = found.verdicts
        settled = found.claim.settled
        assert found.verdict == (settled.verdict if settled else "not_testable")
        assert verdict.evidence == ("specification" if settled else "none")
        assert found.claim.needs in verdict.reason or settled
        assert not found.claim.devices or settled or found.claim.devices[0].strip("*") in verdict.reason


def test_a_cpu_never_counts_for_a_claim_about_gpus() -> None:
    stored = run(plan(), faster({"int8_ort": 1.35}))
    found = entry(claim(hardware="gpu", needs="a GPU"), stored)
    assert (found.verdict, found.own.holds, found.own.fails) == ("not_testable", (), ())
    ours, beside = found.verdicts
    assert (ours.counted, ours.verdict, ours.evidence) == (True, "not_testable", "none")
    assert (beside.counted, beside.verdict, beside.device_kind) == (False, "confirmed", "cpu")
    gpu = run(plan(device_kind="cuda", device="NVIDIA A100"), faster({"int8_ort": 1.35}))
    both = entry(claim(hardware="gpu"), stored, gpu)
    assert (both.verdict, len(both.own.holds)) == ("confirmed", 1)
    assert [verdict.counted for verdict in both.verdicts] == [True, False]


def test_evidence_of_another_gpu_stands_beside() -> None:
    a100 = run(plan(device_kind="cuda", device="NVIDIA A100"), faster({"int8_ort": 1.0}))
    found = entry(claim(hardware="gpu", devices=("*A30*",)), a100)
    assert found.verdict == "not_testable" and "A30" in found.own.summary
    assert [(v.verdict, v.counted) for v in found.verdicts] == [("not_testable", True), ("refuted", False)]


def test_infeasible_treatments_are_not_testable_with_the_reason() -> None:
    made = plan(
        {"full": ("fp32",)},
        infeasible=(infeasible("*", "int8_ort", "needs onnxruntime"), infeasible("mig_1of7", "*", "there is no GPU")),
    )
    stored = run(made, lambda planned: {})
    found = entry(claim(), stored)
    assert found.verdict == "not_testable" and found.own.summary == "infeasible: needs onnxruntime"
    assert (found.verdicts[0].optimization, found.verdicts[0].partition) == ("int8_ort", None)
    sliced = entry(claim(contrast="partition", baseline="full", treatments=("mig_*",)), stored)
    assert sliced.own.summary == "infeasible: there is no GPU"
    assert (sliced.verdicts[0].partition, sliced.verdicts[0].optimization) == ("mig_1of7", None)


def test_a_treatment_without_its_baseline_is_told() -> None:
    stored = run(plan({"full": ("native", "int8_ort")}, baseline="native"), lambda planned: {})
    found = entry(claim(), stored)
    assert "the claimed baseline fp32 was not measured beside it" in found.own.summary


def test_the_roll_up_says_where_it_holds_and_where_not() -> None:
    made = plan({"full": ("fp32", "int8_a", "int8_b", "int8_c", "int8_d")})
    ratios = {"int8_a": 1.35, "int8_b": 1.0, "int8_c": 1.2, "int8_d": 2.0}
    found = entry(claim(treatments=("int8_*",)), run(made, faster(ratios)))
    assert found.verdict == "mixed"
    assert [place.split(",")[0] for place in found.own.holds] == ["int8_a", "int8_d"]
    assert [place.split(",")[0] for place in found.own.fails] == ["int8_b"]
    assert [place.split(",")[0] for place in found.own.open] == ["int8_c"]
    assert "1 confirmed" in found.own.summary and "of 4" in found.own.summary


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ({"int8_a": 1.35, "int8_b": 1.3}, "confirmed"),
        ({"int8_a": 1.35, "int8_b": 2.0}, "confirmed"),
        ({"int8_a": 2.0, "int8_b": 2.0}, "exceeded"),
        ({"int8_a": 1.0, "int8_b": 0.9}, "refuted"),
        ({"int8_a": 1.0, "int8_b": 2.0}, "mixed"),
        ({"int8_a": 1.2, "int8_b": 1.5}, "inconclusive"),
        ({"int8_a": 1.35, "int8_b": 1.2}, "confirmed"),
    ],
)
def test_the_word_for_a_whole_claim(ratios: dict[str, float], word: str) -> None:
    stored = run(plan({"full": ("fp32", *ratios)}), faster(ratios))
    assert entry(claim(treatments=("int8_*",)), stored).verdict == word


def test_the_same_runtime_stands_beside_and_does_not_speak_for_the_claim() -> None:
    made = plan({"full": ("fp32", "ort_fp32", "int8_ort")}, same_runtime={"int8_ort": "ort_fp32"})
    found = entry(claim(), run(made, faster({"int8_ort": 1.35, "ort_fp32": 1.3})))
    assert found.verdict == "confirmed" and found.own.summary == "1 confirmed of 1"
    assert [(v.role, v.verdict) for v in found.verdicts] == [("claimed", "confirmed"), ("same_runtime", "refuted")]
    assert place(found.verdicts[1]).endswith("against ort_fp32")


def test_a_settled_claim_keeps_its_verdict_whatever_is_measured() -> None:
    asked = claim(settled={"verdict": "refuted", "reason": "seven cannot exist", "source": "a guide"})
    found = entry(asked, run(plan(), faster({"int8_ort": 1.35})))
    assert found.verdict == "refuted" and found.verdicts[0].reason == "seven cannot exist (a guide)"


def test_runs_of_several_workloads_each_have_their_rows() -> None:
    one = run(plan(), faster({"int8_ort": 1.35}))
    two = run(plan(workload="another"), faster({"int8_ort": 1.0}), name="second")
    found = entry(claim(), one, two)
    assert [(v.run, v.workload, v.verdict) for v in found.verdicts] == [
        ("made-up-run", "specimen", "confirmed"), ("second", "another", "refuted"),
    ]  # fmt: skip
    assert found.verdict == "mixed"


def test_rows_are_plain_values() -> None:
    speeds = faster({"int8_ort": 1.35})
    stored = run(plan(), lambda planned: {**speeds(planned), "quality": accuracy(10_000, 20, 10)})
    (verdict,) = entry(claim(quality_loss_below=0.01), stored).verdicts
    row = to_json(verdict)
    assert row["verdict"] == "confirmed" and row["quality"]["items"] == 10_000
    assert row["speedup"]["low"] < row["speedup"]["estimate"] < row["speedup"]["high"]


def test_asking_for_fewer_claims_does_not_make_a_verdict_easier() -> None:
    """The family is that of the run: clear alone, open among the twenty claims that the run was planned with."""
    planned = {f"c{number:02d}": claim().model_dump() for number in range(20)}
    stored = run(plan(), faster({"int8_ort": 1.35}, spread=0.1))
    alone = entry(claim(), stored).verdicts[0]
    among = entry(claim(), replace(stored, description={"config": {"claims": planned}})).verdicts[0]
    assert (alone.verdict, among.verdict) == ("confirmed", "inconclusive")
    assert alone.judged is not None and among.judged is not None
    assert among.judged.low < alone.judged.low < alone.judged.high < among.judged.high
    assert alone.speedup == among.speedup


def test_printed_figures_do_not_overrule_what_was_measured() -> None:
    printed = Published.model_validate({
        "source": "a page", "device": "made-up device", "device_kind": "cpu",
        "figures": [
            {"workload": "w", "optimization": "fp32", "latency_ms": 1.0},
            {"workload": "w", "optimization": "int8_ort", "latency_ms": 1.0},
        ],
    })  # fmt: skip
    stored = run(plan(), faster({"int8_ort": 1.35}))
    (both,) = ledger({"c": claim()}, [stored], {"page": printed})
    assert [v.verdict for v in both.verdicts] == ["confirmed", "refuted"]
    assert both.verdict == "confirmed" and both.own.fails == ()
    (alone,) = ledger({"c": claim()}, [], {"page": printed})
    assert alone.verdict == "refuted" and "as printed" in alone.own.fails[0]
