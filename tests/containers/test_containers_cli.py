"""`bench` with isolation=container, as users call it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from harness import SHORT, SPECIMEN, children, finish, lines, planned_ids, run_bench, run_folders, start_bench, until
from inside import left

BOTH = "isolation=[process,container]"


@pytest.fixture(autouse=True)
def engine_of_podman(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of bench find what they find on this machine, and their tenants no module of tests."""
    monkeypatch.delenv("PYTHONPATH")


@pytest.mark.slow
def test_glyphs_in_containers_beside_processes(tmp_path: Path) -> None:
    arguments = ("workload=glyphs", "optimizations=[fp32]", "partitions=[time_shared,cpuset]", BOTH)
    result = run_bench("run", *arguments, *SHORT, "protocol.blocks=1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(tmp_path / "results")
    trials = {trial["partition"]: trial for trial in lines(folder)}
    assert set(trials) == {"time_shared", "time_shared.container", "cpuset", "cpuset.container"}
    for name, trial in trials.items():
        assert trial["status"] in ("ok", "invalid"), [(each["id"], each["reason"]) for each in trials.values()]
        assert trial["tenants"] == 2 and trial["throughput_per_s"] > 0
        assert ("engine" in trial["confinement"]) == name.endswith(".container")
        assert "rss_bytes" in json.dumps(trial["telemetry"]) or trial["telemetry"]
    assert left() == []


def test_a_plan_says_why_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "garbage").touch()
    environment = {"DOCKER_HOST": f"unix://{tmp_path}/garbage"}
    result = run_bench("plan", *SPECIMEN, *SHORT, BOTH, "--json", cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    (reason,) = [entry["reason"] for entry in told["infeasible"] if "container" in json.dumps(entry)]
    assert f"container: nobody listens on {tmp_path}/garbage" in reason


def test_a_run_that_is_killed_leaves_nothing_after_it_is_resumed(tmp_path: Path) -> None:
    arguments = (*SPECIMEN, *SHORT, "isolation=[container]", "protocol.blocks=4")
    run = start_bench("run", *arguments, cwd=tmp_path)
    try:
        until(
            lambda: [len(lines(f)) for f in run_folders(tmp_path / "results") if (f / "trials.jsonl").exists()],
            "it runs",
        )
        tenants = until(lambda: _tenants(), "its tenants run")
    finally:
        run.send_signal(signal.SIGKILL)
        finish(run)
    (folder,) = run_folders(tmp_path / "results")
    result = run_bench("run", "--resume", str(folder), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [trial["id"] for trial in lines(folder)] == planned_ids(folder)
    assert not any(map(psutil.Process.is_running, tenants))
    assert [path for path in Path("/sys/fs/cgroup").glob("*/bench-*") if f".{run.pid}." in path.name] == []
    assert left() == []


def test_a_killed_tenant_costs_one_trial(tmp_path: Path) -> None:
    run = start_bench("run", *SPECIMEN, *SHORT, "isolation=[container]", "protocol.blocks=2", cwd=tmp_path)
    for tenant in until(lambda: _tenants(), "its tenants run"):
        tenant.kill()
    code, _, errors = finish(run)
    assert code == 0, errors
    first, *others = lines(run_folders(tmp_path / "results")[0])
    assert first["status"] == "failed"
    assert "was killed by signal 9" in first["reason"] or "ended at once with status 137" in first["reason"]
    assert others and all(trial["status"] != "failed" for trial in others)
    assert children(run) == []
    assert left() == []


def _tenants() -> list[psutil.Process]:
    """Tenants in containers, of whomever: the first of a pid namespace, below what watches it."""
    found = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        if "bench.measure.tenant" in (process.info["cmdline"] or ()):
            parent = process.parent()
            if (
                parent is not None
                and parent.name() == "conmon"
                and os.environ["BENCH_STATE_DIR"] in " ".join(parent.cmdline())
            ):
                found.append(process)
    return found
