"""What is suggested to be measured, as commands that a shell takes as they are."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up_runs import accuracy
from recommended_runs import a100, asked

import bench
from bench.judge.recommend.lasting import PUBLISH, STANDARD, Pace
from bench.stored import StoredRun


def commands(run: StoredRun, **fields: Any) -> list[list[str]]:
    return [shlex.split(item.command) for item in asked(run, **fields).to_measure if item.command]


def test_the_run_again_with_the_protocol_that_has_enough_requests() -> None:
    (found,) = commands(a100(["full", "mig_1of7"], ["fp32", "int8"], requests=2000), p99_ms=10)
    assert found == [
        "bench", "run", "workload=specimen", "partitions=[full,mig_1of7]", "optimizations=[fp32,int8]",
        "protocol=publish",
    ]  # fmt: skip


def test_of_many_that_only_lack_a_p99_the_best_come_first() -> None:
    run = a100(requests=2000)
    (item,) = asked(run, p99_ms=10).to_measure
    assert "pruned on mig_1of7, int8 on mig_1of7, pruned on full and 2 more, the best 5 of 9 by throughput," in item.why
    assert shlex.split(item.command)[3:] == [
        "partitions=[full,mig_1of7,time_shared]", "optimizations=[fp32,int8,pruned]", "only.time_shared=[fp32,pruned]",
        "protocol=publish",
    ]  # fmt: skip
    (item,) = asked(run, p99_ms=10, objective="latency").to_measure
    assert "pruned on full, int8 on full, fp32 on full and 2 more, the best 5 of 9 by p50," in item.why
    half_known = {("full", "pruned"): {"quality": accuracy(300, 1, 0)}}
    (item, _) = asked(a100(requests=2000, measured=half_known), p99_ms=10, quality_loss_below=0.01).to_measure
    assert "of 7" in item.why and "pruned on full" not in item.why, "it lacks its quality, too"


def test_how_long_that_takes() -> None:
    """20 blocks of fp32, fp32 again and int8: 1.5 s around each window, 1 s to warm up, 5 s or as the rate asks."""
    timing = {"timing_s": {"total": 2.1, "window": 0.4, "warmup": 0.2}}
    slow = {("full", "fp32"): {**timing, "tenant_requests": (200,)}, ("full", "int8"): timing}

    def lasts(**fields: Any) -> float | None:
        run = a100(["full"], ["fp32", "int8"], requests=1000, change={"window_s": 1.0}, **fields)
        (item,) = asked(run, p99_ms=10).to_measure
        return item.lasts_s

    assert lasts(measured=slow) == pytest.approx(
        20 * ((1.5 + 1 + 1.25 * 5000 / 200) * 2 + 1.5 + 1 + 1.25 * 5000 / 1000)
    )
    assert lasts() is None, "nobody knows how long a trial took"
    run = a100(["full"], ["fp32"], blocks=3, look_level=None, change=timing | {"window_s": 0.4})
    (item,) = asked(run, quality_loss_below=0.01).to_measure
    assert "protocol=standard" in item.command and item.lasts_s is None, "as long as verdicts are open"


@pytest.mark.parametrize(("name", "pace"), [("standard", STANDARD), ("publish", PUBLISH)])
def test_protocols_are_what_the_estimate_takes_them_for(name: str, pace: Pace) -> None:
    told = yaml.safe_load((Path(bench.__file__).parent / f"configs/protocol/{name}.yaml").read_text())
    assert (told["blocks"], told["warmup_min_s"], told["window_s"], told["window_limit_s"], told["min_requests"]) == (
        pace.blocks, pace.warmup_s, pace.window_s, pace.window_limit_s, pace.requests,
    )  # fmt: skip
    assert told["noise_floor"], "the baseline once more"


def test_only_what_may_still_satisfy_is_measured_again() -> None:
    (found,) = commands(a100(requests=2000), p99_ms=10, tenants=7, quality_loss_below=0.01)
    assert found[3:] == ["partitions=[mig_1of7,time_shared]", "optimizations=[fp32,int8]", "protocol=publish"]
    slow = {("time_shared", "fp32"): {"quality": None}}
    (found,) = commands(a100(requests=100, measured=slow), p99_ms=9, tenants=7, quality_loss_below=0.01)
    assert found[3:5] == ["partitions=[mig_1of7,time_shared]", "optimizations=[fp32,int8]"]


def test_divisions_with_different_optimizations_are_told_apart() -> None:
    (found,) = commands(a100(["full", "mig_1of7"], requests=100), p99_ms=1.5)  # medians of 1 and 4 ms, in fp32
    assert "partitions=[full,mig_1of7]" not in found and "partitions=[full]" in found


def test_what_is_behind_the_best_anyway_is_not_measured_again() -> None:
    known = {("full", "int8"): {"tenant_requests": (5000,)}}
    (found,) = commands(a100(["full"], requests=10, measured=known), p99_ms=10)
    assert "optimizations=[fp32,pruned]" in found, "of fp32 nobody asks; it is the baseline of pruned"
    known = {("full", "pruned"): {"tenant_requests": (5000,)}}
    assert commands(a100(["full"], requests=10, measured=known), p99_ms=10) == []


def test_windows_are_as_long_as_the_slowest_process_needs() -> None:
    def words(**fields: Any) -> list[str]:
        run = a100(["full"], ["fp32"], **fields)
        return [word for word in commands(run, p99_ms=10)[0] if word.startswith("protocol")]

    assert words(requests=100, change={"window_s": 1.0}) == ["protocol=publish", "protocol.window_limit_s=63"]
    assert words(requests=200, change={"window_s": 1.0}) == ["protocol=publish"]
    assert words(requests=10, change={"window_s": 1.0})[-2:] == [
        "protocol.window_limit_s=625", "protocol.trial_limit_s=1250",
    ]  # fmt: skip
    assert words(requests=2000, change={"window_s": 5.0}, min_requests=5000) == [
        "protocol=publish",
        "protocol.window_s=16",
    ]
    assert words(requests=100, change={"window_s": None}) == ["protocol=publish"]


def test_words_of_the_old_run_give_way_and_others_stay() -> None:
    words = [
        "workload=specimen", "protocol=standard", "protocol.blocks=12", "only.full=[fp32]", "seed=4", "baseline=fp32",
        "neighbours=[same,alone]", "partitions.mig_1of7.allow_reconfigure=true", "isolation=[process,container]",
    ]  # fmt: skip
    run = a100(["mig_1of7"], ["fp32"], requests=2000, description={"overrides": words, "config_folders": ["/my dir"]})
    (found,) = commands(run, p99_ms=10)
    assert found == [
        "bench", "run", "workload=specimen", "baseline=fp32", "partitions.mig_1of7.allow_reconfigure=true",
        "partitions=[mig_1of7]", "optimizations=[fp32]", "protocol=publish", "--config-dir", "/my dir",
    ]  # fmt: skip


def test_a_record_cannot_smuggle_a_command() -> None:
    evil = {"overrides": ["workload=x; rm -rf ~", "$(touch x)", "`id`"], "config_folders": ["a'b"]}
    item = next(item for item in asked(a100(requests=9, description=evil), p99_ms=10).to_measure if item.command)
    assert shlex.split(item.command)[2:5] == ["workload=x; rm -rf ~", "$(touch x)", "`id`"]
    assert "'workload=x; rm -rf ~'" in item.command and "'$(touch x)'" in item.command


def test_without_a_record_the_workload_is_named() -> None:
    (found,) = commands(a100(["full"], ["fp32"], requests=9, description={}), p99_ms=10)
    assert found[2:4] == ["workload=specimen", "scenario=single_stream"]


def test_what_is_uncertain_takes_more_blocks_as_far_as_that_helps() -> None:
    run = a100(["full"], ["fp32"], spread=0.05)
    (found,) = commands(run, p99_ms=2.05)
    (blocks,) = (int(word.partition("=")[2]) for word in found if word.startswith("protocol.blocks="))
    assert 20 < blocks <= 200 and "protocol.doublings=0" in found
    (hopeless,) = asked(run, p99_ms=2.0005).to_measure
    assert not hopeless.command and "too near to the goal" in hopeless.why


def test_spoiled_trials_are_looked_into() -> None:
    run = a100(["full"], ["fp32"], change={"status": "invalid", "reason": "throttled"})
    assert commands(run, throughput_per_s=10)[0] == ["bench", "doctor"]


def test_where_everything_fails_what_might_not_is_suggested() -> None:
    (found,) = commands(a100(["full"]), tenants=5)
    assert "partitions=[time_shared,mig_1of7]" in found and "partitions.time_shared.tenants=5" in found
    (found,) = commands(a100(["time_shared"]), isolation="high", tenants=2)
    assert "partitions=[mig_1of7,mig_1of3]" in found
    on_a_cpu = a100(["time_shared"], device="CPU of somebody", device_kind="cpu", description={"overrides": []})
    (found,) = commands(on_a_cpu, isolation="medium", tenants=4)
    assert found[2:] == ["partitions=[cpuset]", "partitions.cpuset.tenants=4", "isolation=[container]"]
    (item,) = asked(on_a_cpu, isolation="high", tenants=4).to_measure
    assert not item.command and "does not exist on a CPU" in item.why
    assert not asked(a100(), p99_ms=0.001).to_measure
