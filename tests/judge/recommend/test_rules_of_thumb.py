"""The document's rules of thumb, and whether made-up data agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_up_runs import infeasible
from recommended_runs import A100, DESCRIPTION, a100, asked

from bench.judge.recommend.rules_of_thumb import RULES, Said, rules_for


def said(run: Any, **fields: Any) -> dict[str, Said]:
    """By section."""
    return {one.rule.section: one for one in asked(run, **fields).rules}


def on(product: str) -> dict[str, Any]:
    return {**DESCRIPTION, "device": {**DESCRIPTION["device"], "gpu": {"product": product}}}


def test_which_rules_are_about_a_scene_on_a_gpu() -> None:
    def sections(scene: Any, product: str) -> list[tuple[str, str]]:
        return [(rule.section, rule.translated.partition(":")[0]) for rule in rules_for(scene, product)]

    assert sections("inference", A100) == [("2.1.2", "AI inference service"), ("2.2.2", "A100, inference")]
    assert sections("inference", "NVIDIA A30") == [("2.1.2", "AI inference service"), ("2.2.2", "A30, inference")]
    assert sections("mixed", "Tesla V100-SXM2-16GB") == [("2.2.2", "V100, mixed")]
    assert sections("training", "NVIDIA H100 80GB HBM3") == []
    assert sections("inference", "NVIDIA A300") == [("2.1.2", "AI inference service")]
    assert sections("development", "NVIDIA L40S") == [("2.1.2", "development and test")]


def test_every_rule_says_its_words_and_where_they_stand() -> None:
    assert all(rule.section in ("2.1.2", "2.2.2") and rule.original and rule.translated for rule in RULES)
    assert {rule.scene for rule in RULES} == {"inference", "multi_tenant", "development", "training", "mixed"}


def test_data_that_agrees() -> None:
    found = said(a100(), p99_ms=10, scene="inference")
    assert {one.answer for one in found.values()} == {"agrees"}
    assert "pruned on mig_1of7 is laid out so" in found["2.2.2"].words


def test_plain_processes_are_said_to_be_no_containers() -> None:
    found = said(a100(), p99_ms=10, scene="multi_tenant")["2.1.2"]
    assert found.answer == "agrees" and "in plain processes instead of containers" in found.words


def test_data_that_disagrees_because_the_rule_is_behind() -> None:
    found = said(a100(["full", "mig_1of7", "mig_1of3"]), p99_ms=10, scene="mixed")["2.2.2"]
    assert found.answer == "disagrees"
    assert (
        "pruned on mig_1of3, the best that is laid out so, is behind pruned on mig_1of7 in throughput: 1.167x"
        in found.words
    )


def test_data_that_disagrees_because_the_rule_does_not_satisfy() -> None:
    found = said(a100(), p99_ms=3, scene="inference")["2.2.2"]
    assert found.answer == "disagrees" and "pruned on full satisfies it" in found.words


def test_what_may_satisfy_does_not_disagree() -> None:
    found = said(a100(["full", "mig_1of7"], ["pruned"], spread=0.05), p99_ms=3.25, scene="inference")["2.2.2"]
    assert found.answer == "cannot_say" and "not known whether it satisfies the need: pruned on mig_1of7" in found.words


def test_data_that_cannot_say() -> None:
    assert said(a100(["full"]), p99_ms=10, scene="inference")["2.2.2"].answer == "cannot_say"
    assert said(a100(requests=10), p99_ms=10, scene="inference")["2.2.2"].answer == "cannot_say"
    close = a100(["full", "mig_1of7"], ["fp32"], spread=0.0)  # 1000 and 1400 items/s
    rates = {"full": (1400 * 1.1, 1400 * 0.92), "mig_1of7": (1400.0, 1400.0)}
    noisy = [t.model_copy(update={"throughput_per_s": rates[t.division][t.block % 2]}) for t in close.trials]
    run = type(close)(close.folder, close.description, close.plan, tuple(noisy))
    found = said(run, throughput_per_s=10, scene="inference")["2.2.2"]
    assert found.answer == "cannot_say" and "cannot be told apart" in found.words


@pytest.mark.parametrize("scene", ["inference", "mixed", "development"])
def test_on_a_cpu_none_applies(scene: Any) -> None:
    found = said(a100(device="CPU of somebody", device_kind="cpu"), p99_ms=30, scene=scene)
    assert {one.answer for one in found.values()} == {"does_not_apply"}


def test_what_cannot_exist_is_impossible() -> None:
    a30 = a100(["full"], device="NVIDIA A30", description=on("NVIDIA A30"))
    found = said(a30, p99_ms=10, scene="inference")
    assert {one.answer for one in found.values()} == {"impossible"} and "at most four" in found["2.2.2"].words
    assert said(a30, p99_ms=10, scene="mixed")["2.2.2"].answer == "cannot_say"
    v100 = a100(["full"], device="Tesla V100", description=on("Tesla V100-SXM2-16GB"))
    found = said(v100, p99_ms=10, scene="inference")
    assert (found["2.1.2"].answer, found["2.2.2"].answer) == ("impossible", "cannot_say")
    reason = "NVIDIA L40S has no MIG: time_shared, mps and green_context are possible instead"
    l40s = a100(
        ["full"], device="NVIDIA L40S", description=on("NVIDIA L40S"), infeasible=(infeasible("mig_1of7", "*", reason),)
    )
    assert said(l40s, p99_ms=10, scene="inference")["2.1.2"].words == f"not on this GPU: {reason}"


def test_the_documentation_has_every_rule() -> None:
    text = (Path(__file__).parents[3] / "docs" / "recommend.md").read_text()
    for rule in RULES:
        gpu, _, words = rule.original.partition(": ")
        assert gpu in text and words in text, rule.original
