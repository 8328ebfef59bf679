"""`bench doctor` and GPUs: what it shows of a rehearsed one, and that it is always said to be one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from harness import run_bench, three_lines

from bench.devices.rehearsal import state

MODEL = "a100-40gb"


def rehearsal(folder: Path) -> tuple[str, str]:
    return f"gpu=rehearsal/{MODEL}", f"gpu.state={folder / 'gpu.json'}"


def test_a_rehearsed_gpu_is_shown_and_said_to_be_one(tmp_path: Path) -> None:
    result = run_bench("doctor", *rehearsal(tmp_path), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    block = [line for line in result.stdout.splitlines() if line.startswith("gpu ")]
    assert len(block) == 1
    assert "NVIDIA A100-SXM4-40GB (rehearsal) GPU-" in block[0]
    assert "108 SMs, 40.0 GiB, MIG off, ECC on, persistence on, compute mode default" in result.stdout
    clocks = [line for line in result.stdout.splitlines() if "clocks are locked" in line]
    assert len(clocks) == 1
    assert clocks[0].startswith("  rehearsal: ")
    assert "\n  mig_1of7: " not in result.stdout, "it is feasible there"
    assert "\n  cpuset: " in result.stdout, "and dividing a CPU is not"


def test_the_json_form_has_the_whole_fingerprint(tmp_path: Path) -> None:
    gpu = rehearsal(tmp_path)
    found = json.loads(run_bench("doctor", *gpu, "--json", cwd=tmp_path).stdout)
    (told,) = found["fingerprint"]["gpu"]["devices"]
    assert told["uuid"] == state.read(tmp_path / "gpu.json").uuid
    assert told["rehearsal"] is True
    assert found["fingerprint"]["gpu"]["driver"] == told["driver"]
    assert all({"what", "mend"} == set(item) for item in found["warnings"])


def test_what_is_wrong_with_a_gpu_is_warned_of(tmp_path: Path) -> None:
    fault = "gpu.faults={foreign_process: {pid: 1}}"
    found = json.loads(run_bench("doctor", *rehearsal(tmp_path), fault, "--json", cwd=tmp_path).stdout)
    (told,) = [item for item in found["warnings"] if "other process has a context on it" in item["what"]]
    assert told["what"].startswith("rehearsal: ")
    assert told["mend"].endswith("kill 1")


def test_a_gpu_that_is_lost_is_said_so_and_the_machine_is_shown_all_the_same(tmp_path: Path) -> None:
    result = run_bench("doctor", *rehearsal(tmp_path), "gpu.faults={lost_at_call: 1}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "  gpu: NVML says gpu is lost" in result.stdout
    assert "cores usable" in result.stdout


def test_without_a_driver_it_says_so(tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a driver here")
    result = run_bench("doctor", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "gpu       no NVIDIA driver" in result.stdout.splitlines()


def test_what_containers_are_made_with_is_told(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "podman").write_text("#!/bin/sh\necho podman version 9.8.7\n")
    (programs / "podman").chmod(0o755)
    found = run_bench("doctor", cwd=tmp_path, env={"PATH": f"{programs}:{os.environ['PATH']}"})
    assert [line for line in found.stdout.splitlines() if line.startswith("containers podman 9.8.7, ")]
    told = json.loads(run_bench("doctor", "--json", cwd=tmp_path).stdout)["fingerprint"]["containers"]
    assert {"podman", "docker", "runc", "conmon", "nvidia_container_toolkit", "cgroup", "cdi"} <= set(told)


def test_feasibility_is_told_of_the_chosen_workload(tmp_path: Path) -> None:
    found = json.loads(run_bench("doctor", "workload=calibration", "--json", cwd=tmp_path).stdout)
    infeasible = {item["name"] for item in found["infeasible"]}
    assert "fp32" in infeasible and "native" not in infeasible


def test_it_looks_at_one_experiment(tmp_path: Path) -> None:
    result = run_bench("doctor", "gpu=rehearsal/a100-40gb,rehearsal/h100-80gb", cwd=tmp_path)
    assert result.returncode == 2
    assert "several experiments" in three_lines(result.stderr)[0]
