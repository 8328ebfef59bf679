"""What is suggested to be measured, as commands that a shell takes as they are."""

from __future__ import annotations

import shlex
from typing import Any

from recommended_runs import a100, asked

from bench.stored import StoredRun


def commands(run: StoredRun, **fields: Any) -> list[list[str]]:
    return [shlex.split(item.command) for item in asked(run, **fields).to_measure if item.command]


def test_the_run_again_with_the_protocol_that_has_enough_requests() -> None:
    (found,) = commands(a100(requests=2000), p99_ms=10)
    assert found == [
        "bench", "run", "workload=specimen", "partitions=[full,mig_1of7,time_shared]",
        "optimizations=[fp32,int8,pruned]", "protocol=publish",
    ]  # fmt: skip


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
