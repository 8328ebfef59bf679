"""Which configuration is recommended, which are not, and why. All runs are made up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from arranged_runs import Truth, arranged_run
from made_up_runs import accuracy, agreement
from recommended_runs import A100, SLICE_BYTES, a100, asked, need, of, why

from bench.errors import ConfigError, InputError
from bench.judge.recommend.answer import Weighed, answer
from bench.judge.recommend.candidates import candidates
from bench.judge.recommend.findings import findings
from bench.judge.recommend.levels import separation
from bench.judge.recommend.values import GIB
from bench.records import Gate, Imported
from bench.stored import StoredRun

PRICES = {"price_per_hour": 3.6, "currency": "EUR"}


def best(found: Weighed | None) -> str:
    assert found is not None
    return found.candidate.name


# --- what satisfies, and the best of it ---


def test_the_best_by_each_objective() -> None:
    run = a100()
    assert best(asked(run, p99_ms=10).best) == "pruned on mig_1of7"
    assert best(asked(run, p99_ms=10, objective="latency").best) == "pruned on full"
    assert best(asked(run, p99_ms=10, objective="energy").best) == "pruned on mig_1of7"
    assert best(asked(run, p99_ms=10, quality_loss_below=0.01).best) == "int8 on mig_1of7"
    assert best(asked(run, p99_ms=3).best) == "pruned on full"
    assert best(asked(run, tenants=7, p99_ms=30, isolation="general").best) == "pruned on mig_1of7"


def test_what_satisfies_comes_first_and_the_best_of_it_leads() -> None:
    found = asked(a100(), p99_ms=4)
    standings = [item.standing for item in found.weighed]
    assert standings == sorted(standings, key=("satisfies", "open", "fails").index)
    behind = [item.against_best.estimate for item in found.weighed[1:] if item.against_best]
    assert behind == sorted(behind) and behind[0] > 1


def test_the_unfavourable_end_of_the_interval_has_to_reach_the_goal() -> None:
    run = a100(["full"], ["fp32"], spread=0.05)  # p99 2 ms, of which half of the blocks are 5 % off either way
    p99 = candidates(run, need())[0].p99
    assert p99 is not None and p99.low < 2 < p99.high
    assert of(asked(run, p99_ms=p99.high + 1e-9), "fp32 on full").standing == "satisfies"
    between = of(asked(run, p99_ms=p99.high - 1e-3), "fp32 on full")
    assert between.standing == "open" and "may be above" in why(between)
    assert of(asked(run, p99_ms=p99.low), "fp32 on full").standing == "open"
    below = of(asked(run, p99_ms=p99.low - 1e-3), "fp32 on full")
    assert below.standing == "fails" and "p99 2 ms [1.92, 2.07] is above" in why(below)


def test_the_more_are_put_to_the_goals_the_surer_each_has_to_be() -> None:
    run = a100(["full"], ["fp32"], spread=0.05)
    alone = candidates(run, need())[0]
    assert alone.p99 is not None
    goal_ms = alone.p99.high + 1e-9
    assert [finding.outcome for finding in findings(alone, need(p99_ms=goal_ms)) if finding.goal == "p99"] == ["met"]
    among = [finding for finding in findings(alone, need(p99_ms=goal_ms), 20) if finding.goal == "p99"]
    assert [finding.outcome for finding in among] == ["uncertain"] and among[0].blocks > 10
    many = asked(a100(["full", "mig_1of7"], ["fp32", "int8"], spread=0.05), p99_ms=goal_ms)
    assert many.judged == 4 and of(many, "fp32 on full").standing == "open"
    shared = asked(a100(["full", "mig_1of7"], ["fp32"], spread=0.05), p99_ms=16, tenants=7)
    assert shared.judged == 1, "what falls out by how it is laid out is not put to the other goals"


def test_quality_has_to_be_shown_of_all_at_once() -> None:
    (_, int8) = candidates(
        a100(["full"], ["fp32", "int8"], measured={("full", "int8"): {"quality": accuracy(10_000, 85, 0)}}), need()
    )
    (alone,) = (f for f in findings(int8, need(quality_loss_below=0.0102)) if f.goal == "quality")
    (among,) = (f for f in findings(int8, need(quality_loss_below=0.0102), 20) if f.goal == "quality")
    assert alone.outcome == "met"
    assert among.outcome == "uncertain" and "shown of it alone, and not of 20 configurations at once" in among.words


def test_the_slowest_tenant_decides() -> None:
    rates = (300.0, 300.0, 300.0, 300.0, 300.0, 300.0, 50.0)
    run = a100(["mig_1of7"], ["fp32"], change={"tenant_throughput_per_s": rates})
    assert of(asked(run, tenant_throughput_per_s=41), "fp32 on mig_1of7").standing == "fails"
    assert of(asked(run, tenant_throughput_per_s=39.99), "fp32 on mig_1of7").standing == "satisfies"  # 80 % of 50
    assert of(asked(run, tenant_throughput_per_s=44.99, headroom=0.1), "fp32 on mig_1of7").standing == "satisfies"


def test_p99_counts_the_wait_for_a_turn_where_it_is_known() -> None:
    run = a100(["time_shared"], ["fp32"], change={"tenant_wall_p99_ms": (40.0,) * 6 + (90.0,)})
    assert of(asked(run, p99_ms=80), "fp32 on time_shared").standing == "fails"


def test_ties_are_named() -> None:
    run = a100(["full"], ["fp32", "int8"], measured={("full", "int8"): {"throughput_per_s": 1001.0}}, spread=0.05)
    found = asked(run, p99_ms=10)
    assert best(found.best) == "int8 on full"
    assert [item.candidate.name for item in found.ties] == ["fp32 on full"]
    assert not asked(a100(["full"], ["fp32", "int8"]), p99_ms=10).ties


# --- head-room and costs ---


def test_head_room_is_left_of_the_low_end_of_the_load() -> None:
    found = asked(a100(["full"], ["fp32"], spread=0.0), p99_ms=10, throughput_per_s=1700)
    assert found.per_s == pytest.approx(800)
    assert found.devices == 3  # two give 1600
    assert asked(a100(["full"], ["fp32"], spread=0.0), p99_ms=10, throughput_per_s=1600).devices == 2
    wide = asked(a100(["full"], ["fp32"], spread=0.2), p99_ms=10)
    assert wide.per_s is not None and wide.per_s < 780


def test_devices_are_bounded() -> None:
    run = a100(["full"], ["fp32"], spread=0.0)
    assert asked(run, throughput_per_s=1600, devices=2).best is not None
    refused = asked(run, throughput_per_s=1601, devices=2)
    assert refused.best is None and "1601 items/s take 3 devices" in why(refused.weighed[0])


def test_costs_are_reckoned_at_the_load_that_head_room_leaves() -> None:
    run = a100(["full"], ["fp32"], spread=0.0)
    found = asked(run, throughput_per_s=1700, prices=PRICES)
    assert found.best is not None and found.best.candidate.cost is not None and found.month is not None
    assert found.best.candidate.cost.estimate == pytest.approx(3.6 / (1000 * 0.8 * 3600) * 1e6)
    assert found.month.estimate == pytest.approx(3 * 3.6 * 730.5)


def test_a_month_is_of_as_many_devices_as_are_told() -> None:
    run = a100(["full"], ["fp32"], spread=0.1)  # 1000 items/s, and 924 at the low end
    found = asked(run, throughput_per_s=1590, prices=PRICES)  # two devices at 1000, three at 924
    assert (found.devices, found.month and found.month.estimate) == (3, pytest.approx(3 * 3.6 * 730.5))
    assert asked(run, throughput_per_s=1590, prices=PRICES, budget={"per_month": 7900}).best is not None
    between = asked(run, throughput_per_s=1590, prices=PRICES, budget={"per_month": 7800})
    assert between.weighed[0].standing == "open", "two devices may do, and would be within it"


def test_electricity_is_added_where_it_has_a_price() -> None:
    run = a100(["full"], ["fp32"], spread=0.0)  # 0.3 J each
    cost = candidates(run, need(p99_ms=10, prices={"power": {"price_per_kwh": 0.36}}))[0].cost
    assert cost is not None and cost.estimate == pytest.approx(0.3 / 3.6e6 * 0.36 * 1e6)
    both = candidates(run, need(p99_ms=10, prices=PRICES | {"power": {"price_per_kwh": 0.36}}))[0].cost
    assert both is not None and both.estimate == pytest.approx(1.25 + 0.03)


def test_energy_is_measured_or_stated_and_never_guessed() -> None:
    silent = a100(["full"], ["fp32"], spread=0.0, change={"telemetry": {}})
    power = {"price_per_kwh": 0.36}
    found = asked(silent, p99_ms=10, prices={"power": power})
    assert found.best is None and "energy was not measured" in why(found.weighed[0])
    assert found.only_lacks_evidence and any("watts" in item.why for item in found.to_measure)
    stated = asked(silent, p99_ms=10, prices={"power": power | {"watts": 500}}).best
    assert stated is not None and stated.candidate.energy is not None and stated.candidate.energy_from == "stated"
    assert stated.candidate.energy.estimate == pytest.approx(0.5)
    measured = asked(a100(["full"], ["fp32"]), p99_ms=10, prices={"power": power | {"watts": 500}}).best
    assert measured is not None and measured.candidate.energy_from == "measured"


@pytest.mark.parametrize(
    ("budget", "satisfies"),
    [
        ({"per_million": 1.3}, True),
        ({"per_million": 1.2}, False),
        ({"per_month": 2700}, True),
        ({"per_month": 2600}, False),
    ],
)
def test_a_budget_is_a_bound(budget: Mapping[str, float], satisfies: bool) -> None:
    run = a100(["full"], ["fp32"], spread=0.0)
    assert (asked(run, budget=dict(budget), prices=PRICES).best is not None) == satisfies


def test_memory_keeps_head_room_too() -> None:
    run = a100(["mig_1of7"], ["fp32"])
    fits = 0.8 * SLICE_BYTES / GIB
    assert of(asked(run, memory_gib=fits), "fp32 on mig_1of7").standing == "satisfies"
    too_much = of(asked(run, memory_gib=fits + 0.01), "fp32 on mig_1of7")
    assert too_much.standing == "fails" and "20 % head-room leaves of its 5 GiB" in why(too_much)
    full = a100(["full"], ["fp32"], change={"telemetry": {"gpu_memory_peak_bytes": 33.0 * GIB}})
    assert "a tenant used 33 GiB of memory, more than 32 GiB" in why(of(asked(full, p99_ms=10), "fp32 on full"))
    unknown = a100(["full"], ["fp32"], description={})
    assert of(asked(unknown, memory_gib=1), "fp32 on full").standing == "open"


# --- quality, isolation ---


@pytest.mark.parametrize(
    ("quality", "standing", "words"),
    [
        ({}, "satisfies", ""),
        ({"quality": None}, "open", "quality was not measured"),
        ({"quality": agreement(10_000, 200)}, "open", "without labels nobody knows how many of them are worse"),
        ({"quality": agreement(10_000, 20)}, "satisfies", ""),
    ],
)
def test_quality_has_to_be_shown(quality: Mapping[str, Any], standing: str, words: str) -> None:
    found = asked(a100(["full"], ["fp32", "int8"], measured={("full", "int8"): quality}), quality_loss_below=0.01)
    item = of(found, "int8 on full")
    assert item.standing == standing and words in why(item)


def test_quality_that_is_lost_falls_out() -> None:
    item = of(asked(a100(), quality_loss_below=0.01), "pruned on full")
    assert item.standing == "fails" and "quality loss 3.00 %" in why(item)


@pytest.mark.parametrize(
    ("division", "isolation", "level"),
    [
        ("full", "process", "high"), ("mig", "process", "high"), ("mig", "container", "high"),
        ("mps", "process", "general"), ("time_shared", "container", "general"), ("green_context", "process", "general"),
        ("cpuset", "process", "general"), ("cpuset", "container", "medium"), (None, "process", "general"),
    ],
)  # fmt: skip
def test_levels_of_isolation(division: Any, isolation: str, level: Any) -> None:
    found = separation(division, isolation)
    assert found.level == level and found.why
    assert found.reaches("general") and found.reaches("high") == (level == "high")


def test_what_shares_a_slice_is_no_slice_of_its_own() -> None:
    description = {"config": {"partitions": {"mig_mine": {"_target_": "bench.partitions.mps.Mps", "within": "3g"}}}}
    run = a100(["full"], ["fp32"])
    renamed = run.plan.model_copy(
        update={"trials": tuple(t.model_copy(update={"division": "mig_mine"}) for t in run.plan.trials)}
    )
    assert candidates(StoredRun(run.folder, description, renamed, ()), need())[0].kind == "mps"
    assert candidates(StoredRun(run.folder, {}, renamed, ()), need())[0].kind == "mig"
    own = {"config": {"partitions": {"mig_mine": {"_target_": "mine.Own"}}}}
    assert candidates(StoredRun(run.folder, own, renamed, ()), need())[0].kind is None


# --- too little evidence ---


SPOILED = {"status": "invalid", "reason": "something else ran there", "gate": Gate(valid=False, reasons=("x",))}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (a100(["full"], ["fp32"], protocol="smoke", look_level=None), "protocol smoke shows that things run"),
        (a100(["full"], ["fp32"], blocks=4), "4 valid blocks, and fewer than 5 decide nothing"),
        (a100(["full"], ["fp32"], change=SPOILED), "10 of 10 blocks were lost, most often: something else ran there"),
        (
            a100(["full"], ["fp32"], imported=Imported(tool="csv", version="mlperf-harness", missing=("blocks",))),
            "measured by mlperf-harness (csv), which has no blocks",
        ),
        (
            a100(["full"], ["fp32"], imported=Imported(tool="trtexec", missing=("proof",))),
            "measured by trtexec, and nothing is decided from that",
        ),
        (a100(["full"], ["fp32"], requests=4999), "p99 not measured: fewer than 5,000 requests in a process"),
    ],
)
def test_too_little_evidence_recommends_nothing_and_says_what_to_measure(run: StoredRun, words: str) -> None:
    found = asked(run, p99_ms=10)
    (item,) = found.weighed
    assert found.best is None and found.only_lacks_evidence
    assert item.standing == "open" and words in why(item)
    assert any("protocol=publish" in item.command for item in found.to_measure)


def test_a_fifth_of_the_blocks_may_be_lost() -> None:
    def losing(blocks: int) -> StoredRun:
        run = a100(["full"], ["fp32"])
        spoiled = [t.model_copy(update=SPOILED if t.block <= blocks else {}) for t in run.trials]
        return StoredRun(run.folder, run.description, run.plan, tuple(spoiled))

    assert asked(losing(2), p99_ms=10).best is not None
    assert asked(losing(3), p99_ms=10).best is None


def test_a_line_that_is_gone_is_lost_and_what_is_still_to_come_is_not() -> None:
    run = a100(["full"], ["fp32"])
    gone = StoredRun(run.folder, run.description, run.plan, tuple(t for t in run.trials if t.block not in (2, 3, 4)))
    assert "3 of 10 blocks were lost" in why(asked(gone, p99_ms=10).weighed[0])
    begun = StoredRun(run.folder, run.description, run.plan, tuple(t for t in run.trials if t.block <= 6))
    assert asked(begun, p99_ms=10).best is not None


def test_what_certainly_fails_is_no_question_of_evidence() -> None:
    found = asked(a100(["full"], ["fp32"], blocks=3), tenants=2)
    assert not found.only_lacks_evidence and found.best is None and found.weighed[0].standing == "fails"
    slow = asked(a100(["full"], ["fp32"], requests=100), p99_ms=0.5)  # its median is 1 ms
    assert slow.weighed[0].standing == "fails" and "even p50" in why(slow.weighed[0])


# --- what is a candidate ---


def test_only_cells_in_which_all_run_the_workload_are_candidates() -> None:
    truth = Truth({("time_shared", "compute_hog"): 1.5}, {"process": 1.0, "container": 1.0})
    run = arranged_run(truth, ["same", "alone", "compute_hog"], full=True)
    names = [item.name for item in candidates(run, need())]
    divisions, isolations = ("full", "cpuset", "time_shared"), ("process", "container")
    assert len(names) == 6
    assert {(c.division, c.isolation) for c in candidates(run, need())} == set(product(divisions, isolations))
    assert not any("alone" in name or "hog" in name for name in names)
    shared = next(item for item in candidates(run, need()) if item.division == "time_shared")
    assert {row.neighbours for row in shared.beside} == {"same", "compute_hog"}


def test_the_second_baseline_and_an_older_version_are_none() -> None:
    run = a100(["full"], ["fp32", "int8"], again="int8")
    assert [item.name for item in candidates(run, need())] == ["fp32 on full"]
    older = a100(["full"], ["fp32"], against={"process": "container"})
    assert candidates(older, need()) == []


# --- several runs ---


def test_runs_of_one_device_and_workload_stand_beside_each_other_without_blocks_in_common() -> None:
    found = asked([a100(["full"], name="one"), a100(["mig_1of7"], name="two")], p99_ms=10)
    assert best(found.best) == "pruned on mig_1of7"
    assert {item.candidate.run.name for item in found.ties} == {"one"}


def test_runs_that_cannot_be_set_beside_each_other() -> None:
    with pytest.raises(InputError, match="several devices"):
        asked([a100(), a100(device="NVIDIA A30")], p99_ms=10)
    with pytest.raises(ConfigError, match="several workloads: other, specimen") as found:
        asked([a100(), a100(workload="other")], p99_ms=10)
    assert "workload: other" in found.value.hint
    assert answer([a100(), a100(workload="other")], need(p99_ms=10, workload="other")).workload == "other"
    with pytest.raises(ConfigError, match="no run measured the workload third"):
        asked(a100(), p99_ms=10, workload="third")
    with pytest.raises(InputError, match="start-up"):
        asked(a100(measures="start_up"), p99_ms=10)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"config": 3, "device": [], "overrides": "x"},
        {"config": {"partitions": []}, "device": {"memory_bytes": -1, "gpu": 7}},
        {"config": {"partitions": {"full": {"_target_": 3}}}, "device": {"memory_bytes": True, "cpus": 3}},
        {"overrides": [1, 2], "config_folders": 4},
    ],
)
def test_a_description_of_any_shape_does_no_harm(told: Mapping[str, Any]) -> None:
    found = asked(a100(description=told), p99_ms=10, scene="inference")
    assert best(found.best) == "pruned on mig_1of7"
    assert found.product == A100
    found = asked(a100(description=told, requests=3), p99_ms=10)
    assert found.only_lacks_evidence and found.to_measure


def test_numbers_stay_finite_at_the_edges() -> None:
    huge = a100(["full"], ["fp32"], spread=0.0, change={"throughput_per_s": 1e-9})
    found = asked(huge, throughput_per_s=1e15, prices={"price_per_hour": 1e15})
    assert found.devices is not None and found.month is not None and math.isfinite(found.month.estimate)
