"""Whole sweeps on GPUs that are not there."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from harness import SHORT, SPECIMEN, lines, run_bench, run_folders, start_bench, until

FIVE = "partitions=[full,mig_1of7,mig_1of3,time_shared,mps]"
MODELS = (
    "a30-24gb", "a100-40gb", "a100-80gb", "h100-80gb", "h100-nvl-94gb", "gh200-96gb", "gh200-144gb", "h200-141gb",
    "b200-180gb", "gb200-186gb", "b300-269gb", "gb300-278gb", "rtx-pro-6000-96gb", "v100-16gb", "t4-16gb", "l40s-48gb",
)  # fmt: skip
FOUR_SLICES = {"a30-24gb", "rtx-pro-6000-96gb"}
NO_MIG = {"v100-16gb", "t4-16gb", "l40s-48gb"}


def _plan(model: str, *options: str, cwd: Path) -> Any:
    result = run_bench("plan", f"gpu=rehearsal/{model}", *options, "--json", cwd=cwd)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def _mig(model: str, cwd: Path, env: dict[str, str]) -> Any:
    return json.loads(run_bench("mig", "status", f"gpu=rehearsal/{model}", "--json", cwd=cwd, env=env).stdout)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_plans(tmp_path: Path, model: str) -> None:
    plan = _plan(model, FIVE, cwd=tmp_path)
    assert plan["rehearsal"] and plan["device_kind"] == "cuda" and "rehearsal" in plan["device"]
    tenants = {trial["partition"]: trial["tenants"] for trial in plan["trials"]}
    reasons = {item["partition"]: item["reason"] for item in plan["infeasible"]}
    if model in NO_MIG:
        assert set(tenants) == {"full", "time_shared", "mps"}
        assert all("no MIG" in reasons[name] and "time_shared" in reasons[name] for name in ("mig_1of7", "mig_1of3"))
        return
    assert tenants["mig_1of3"] == 3
    instances = plan["layouts"]["mig_1of3"]["instances"]
    spans = sorted((place["start"], place["start"] + place["size"]) for place in instances)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert any("-cgi" in command for command in plan["layouts"]["mig_1of3"]["commands"])
    if model in FOUR_SLICES:
        assert "mig_1of7" not in tenants and "possible are 4 x 1g" in reasons["mig_1of7"]
        assert all(place["profile"].startswith("1g") for place in instances)
    else:
        assert tenants["mig_1of7"] == 7
        assert all(place["profile"].startswith("2g") for place in instances)


def test_a_plan_for_people_shows_layouts_placements_and_commands(tmp_path: Path) -> None:
    text = run_bench("plan", "gpu=rehearsal/a100-40gb", FIVE, cwd=tmp_path).stdout
    assert "layout mig_1of3: 3 x 2g.10gb (2/7 of the compute slices, 28 of 108 SMs)" in text
    assert "1g.5gb on memory slices 6 to 6, 14 SMs, 4.75 GiB" in text
    assert "nvidia-smi mig -i GPU-" in text and "-cgi 19:0,19:1,19:2,19:3,19:4,19:5,19:6 -C" in text


@pytest.mark.slow
@pytest.mark.parametrize("model", ["a30-24gb", "a100-40gb", "h100-80gb", "h200-141gb", "rtx-pro-6000-96gb"])
def test_a_sweep_runs_to_its_end_and_leaves_the_layout_as_it_was(tmp_path: Path, model: str) -> None:
    env = {"BENCH_STATE_DIR": str(tmp_path / "state")}
    before = _mig(model, tmp_path, env)
    options = [f"gpu=rehearsal/{model}", FIVE, *SPECIMEN, *SHORT, "protocol.blocks=1"]
    result = run_bench("run", *options, cwd=tmp_path, env=env, limit_s=300)
    assert result.returncode == 0, result.stderr
    assert _mig(model, tmp_path, env) == before
    (folder,) = run_folders(tmp_path / "results")
    trials = lines(folder)
    seven = {} if model in FOUR_SLICES else {"mig_1of7": 7}
    assert {trial["partition"]: trial["tenants"] for trial in trials} == {
        "full": 1, "mig_1of3": 3, "time_shared": 2, "mps": 2, **seven,
    }  # fmt: skip
    assert all(trial["rehearsal"] and trial["status"] != "failed" for trial in trials), trials
    assert all(len(trial["tenant_throughput_per_s"]) == trial["tenants"] for trial in trials)
    for verb in ("verify", "report"):
        refused = run_bench(verb, str(folder), cwd=tmp_path)
        assert refused.returncode != 0 and "rehears" in refused.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_ended_run_leaves_the_layout_as_it_was(tmp_path: Path, ending: signal.Signals) -> None:
    env = {"BENCH_STATE_DIR": str(tmp_path / "state")}
    before = _mig("a100-40gb", tmp_path, env)
    options = ["gpu=rehearsal/a100-40gb", "partitions=[mig_1of3]", *SPECIMEN, *SHORT, "protocol.window_s=20"]
    running = start_bench("run", *options, "protocol.window_limit_s=20", "protocol.trial_limit_s=60",
                          cwd=tmp_path, env=env)  # fmt: skip
    try:
        until(lambda: len(_mig("a100-40gb", tmp_path, env)["instances"]) == 3, "three slices")
        os.kill(running.pid, ending)
        running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    if ending == signal.SIGKILL:
        assert _mig("a100-40gb", tmp_path, env)["to_restore"]
        assert run_bench("mig", "restore", "gpu=rehearsal/a100-40gb", cwd=tmp_path, env=env).returncode == 0
    else:
        assert running.returncode == 130
    assert _mig("a100-40gb", tmp_path, env) == before


def test_a_gpu_that_is_lost_ends_no_run_in_a_traceback(tmp_path: Path) -> None:
    options = ["gpu=rehearsal/a100-40gb", f"gpu.state={tmp_path}/gpu.json", "gpu.faults={lost_at_call: 150}"]
    result = run_bench("run", *options, "partitions=[full]", *SPECIMEN, *SHORT, "protocol.blocks=6", cwd=tmp_path)
    assert "Traceback" not in result.stderr
    (folder,) = run_folders(tmp_path / "results")
    reasons = [trial["reason"] or "" for trial in lines(folder)]
    assert len(reasons) == 6 and "lost" in reasons[-1]
