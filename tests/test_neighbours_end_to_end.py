"""Tenants beside others, and tenants that start, through the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import SHORT, SPECIMEN, lines, run_bench, run_folders

HALF = ("partitions=[time_shared]", "workload.mode=sleep", "workload.duration_ms=5")


def measured(cwd: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    done = run_bench("run", *SPECIMEN, *SHORT, f"cache_dir={cwd}/cache", *arguments, cwd=cwd)
    folders = run_folders(cwd / "results")
    return done, lines(folders[0]) if folders else []


def test_a_victim_is_measured_alone_and_beside_a_hog(tmp_path: Path) -> None:
    done, trials = measured(tmp_path, *HALF, "neighbours=[same,alone,compute_hog]")
    assert done.returncode == 0, done.stderr
    assert len(trials) == 6
    for trial in trials:
        assert trial["status"] != "failed", trial["reason"]
        beside, own = trial["neighbour_throughput_per_s"], trial["tenant_throughput_per_s"]
        assert (len(own), len(beside)) == {"same": (2, 0), "alone": (1, 0), "compute_hog": (1, 1)}[trial["neighbours"]]
        assert trial["throughput_per_s"] == pytest.approx(sum(own))
        assert all(rate > 0 for rate in (*own, *beside))
        # What sleeps for 5 ms is as fast beside anybody: the neighbour's requests are not counted as its own.
        assert sum(own) == pytest.approx(200 * len(own), rel=0.2)


def test_tenants_of_different_workloads_start_one_after_the_other(tmp_path: Path) -> None:
    listed = "partitions.time_shared.tenants=[{workload: calibration},{workload: neighbour, load: bursty}]"
    done, trials = measured(tmp_path, *HALF, listed, "partitions.time_shared.stagger_s=0.75")
    assert done.returncode == 0, done.stderr
    for trial in trials:
        assert trial["status"] != "failed", trial["reason"]
        assert (trial["tenants"], len(trial["neighbour_throughput_per_s"])) == (2, 1)
        assert trial["timing_s"]["start"] + trial["timing_s"]["load"] >= 0.75


def test_a_neighbour_that_dies_is_named_and_fails_its_trial_alone(tmp_path: Path) -> None:
    listed = "partitions.time_shared.tenants=[{workload: calibration},{workload: calibration, fault: exit, optimization: native}]"  # noqa: E501
    done, trials = measured(tmp_path, "partitions=[full,time_shared]", listed)
    assert done.returncode == 0, done.stderr
    for trial in trials:
        failed = trial["partition"] == "time_shared"
        assert (trial["status"] == "failed") == failed, trial["reason"]
        assert not failed or "tenant1" in trial["reason"]


def test_a_cold_start_is_timed_until_the_first_answer(tmp_path: Path) -> None:
    isolations = ("isolation=[process,process_preheated]", "scenario=cold_start")
    done, trials = measured(tmp_path, *HALF, *isolations)
    assert done.returncode == 0, done.stderr
    assert len(trials) == 4
    for trial in trials:
        assert trial["status"] == "ok", trial["reason"]
        assert trial["throughput_per_s"] is None
        assert trial["start_up_s"] >= max(trial["tenant_start_up_s"])
        assert len(trial["tenant_start_up_s"]) == 2
        # Answering takes 5 ms; a fresh process has to start and import first.
        assert (trial["start_up_s"] > 0.05) == (trial["isolation"] == "process")
        assert trial["start_up_s"] > 0.005
    plan = json.loads((run_folders(tmp_path / "results")[0] / "plan.json").read_text())
    assert plan["measures"] == "start_up"
    assert "start-up" in done.stdout


def test_a_neighbour_has_nothing_to_press_on_while_it_starts_itself(tmp_path: Path) -> None:
    done, _ = measured(tmp_path, *HALF, "scenario=cold_start", "neighbours=[compute_hog]")
    assert done.returncode == 3
    assert "a neighbour has yet to start" in done.stderr


def test_staggered_tenants_start_as_fast_as_others(tmp_path: Path) -> None:
    stagger = ("scenario=cold_start", "partitions.time_shared.stagger_s=1.5", "protocol.blocks=1")
    done, trials = measured(tmp_path, *HALF, *stagger)
    assert done.returncode == 0, done.stderr
    assert trials[0]["start_up_s"] > 1.5
    assert max(trials[0]["tenant_start_up_s"]) < 1.5


def test_a_cold_start_that_hangs_ends_at_the_trials_limit(tmp_path: Path) -> None:
    hung = ("scenario=cold_start", "workload.fault=hang", "protocol.trial_limit_s=3", "protocol.blocks=1")
    done, trials = measured(tmp_path, *hung)
    assert done.returncode == 4, done.stderr
    assert "did not answer" in trials[0]["reason"]
