"""Whole runs of the specimen, seen from outside: files, lines, tables, exit codes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from harness import (
    SHORT,
    SPECIMEN,
    finish,
    lines,
    measured,
    planned_ids,
    read_table,
    run_bench,
    run_folders,
    start_bench,
)

LINE = {
    "id", "block", "position", "workload", "scenario", "partition", "optimization", "tenants", "status", "reason",
    "throughput_per_s", "latency_ms", "quality", "telemetry", "gate", "rehearsal",
}  # fmt: skip
LONGER = ("workload.duration_ms=2", "protocol.window_s=0.25")
ALL_WAYS = ("partitions=[full,time_shared,cpuset,mig_1of7,mps,green_context]",)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """One run on every kind of partition: its folder, and what it printed."""
    cwd = tmp_path_factory.mktemp("shared")
    result = run_bench("run", *SPECIMEN, *SHORT, *ALL_WAYS, "seed=5", *LONGER, "--json", cwd=cwd)
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(cwd / "results")
    return folder, (result.stdout, result.stderr)


def test_the_files_are_those_of_the_contract(shared: tuple[Path, Any]) -> None:
    folder, _ = shared
    run = json.loads((folder / "run.json").read_text())
    assert {"config", "fingerprint", "overrides", "seed"} <= set(run)
    assert {"versions", "commit", "cpu"} <= set(run["fingerprint"])
    assert run["config"]["workload"]["duration_ms"] == 2
    names = {trial["id"] for trial in lines(folder)}
    for part in ("samples", "telemetry"):
        assert {path.stem for path in (folder / part).iterdir()} == names
    assert not list(folder.rglob("*.tmp"))


def test_every_planned_trial_has_one_line_in_the_planned_order(shared: tuple[Path, Any]) -> None:
    folder, _ = shared
    assert [trial["id"] for trial in lines(folder)] == planned_ids(folder)


def test_a_line_has_what_scripts_rely_on(shared: tuple[Path, Any]) -> None:
    for trial in lines(shared[0]):
        assert set(trial) >= LINE
        assert trial["status"] in ("ok", "invalid")
        assert (trial["reason"] is None) == (trial["status"] == "ok")
        assert set(trial["latency_ms"]) == {"p50", "p90", "p95", "p99", "mean"}
        assert trial["tenants"] == len(trial["tenant_throughput_per_s"]) == (1 if trial["partition"] == "full" else 2)
        assert trial["throughput_per_s"] == pytest.approx(sum(trial["tenant_throughput_per_s"]))
        assert trial["proof"]["precision"] == "native"
        assert trial["quality"] is None  # what comes out of the specimen means nothing
        assert trial["rehearsal"] is False


def test_the_specimen_is_measured_as_what_it_is(shared: tuple[Path, Any]) -> None:
    trials = lines(shared[0])
    # Never shorter than 2 ms; a busy machine makes it longer, and hardly the median of undisturbed cores.
    assert all(trial["latency_ms"]["p50"] >= 1.999 for trial in trials)
    assert min(trial["latency_ms"]["p50"] for trial in trials) < 2.6


def test_samples_say_the_same_as_the_line(shared: tuple[Path, Any]) -> None:
    folder, _ = shared
    for trial in lines(folder):
        samples = read_table(folder / "samples" / f"{trial['id']}.parquet")
        counted = [ns for ns, counts in zip(samples["latency_ns"], samples["counted"], strict=True) if counts]
        assert len(counted) == trial["requests"]
        assert median(counted) / 1e6 == pytest.approx(trial["latency_ms"]["p50"])
        assert set(samples["tenant"]) == set(range(trial["tenants"]))


def test_only_the_time_in_which_all_tenants_ran_counts(shared: tuple[Path, Any]) -> None:
    folder, _ = shared
    for trial in lines(folder):
        samples = read_table(folder / "samples" / f"{trial['id']}.parquet")
        rows = list(zip(*(samples[name] for name in ("tenant", "end_ns", "latency_ns", "counted")), strict=True))
        spans = []
        for tenant in range(trial["tenants"]):
            mine = [(end - latency, end) for index, end, latency, _ in rows if index == tenant]
            spans.append((mine[0][0], mine[-1][1]))
        start, end = max(span[0] for span in spans), min(span[1] for span in spans)
        assert start < end
        assert all(start <= done - latency and done <= end for _, done, latency, counts in rows if counts)
        assert {index for index, _, _, counts in rows if counts} == set(range(trial["tenants"]))


def test_telemetry_covers_the_window_on_the_same_clock(shared: tuple[Path, Any]) -> None:
    folder, _ = shared
    for trial in lines(folder):
        ticks = read_table(folder / "telemetry" / f"{trial['id']}.parquet")
        samples = read_table(folder / "samples" / f"{trial['id']}.parquet")
        assert {f"tenant{index}" for index in range(trial["tenants"])} < set(ticks["subject"])
        assert min(ticks["t_ns"]) <= min(samples["end_ns"])
        assert max(ticks["t_ns"]) >= max(samples["end_ns"])
        assert trial["telemetry"]["cpu_s"] > 0


def test_what_is_infeasible_is_listed_with_its_reason(shared: tuple[Path, Any]) -> None:
    folder, (stdout, _) = shared
    (result,) = json.loads(stdout)
    assert {item["partition"] or item["telemetry"]: item["optimization"] for item in result["infeasible"]} == {
        "mig_1of7": "*", "mps": "*", "green_context": "*", "nvml": "",
    }  # fmt: skip
    assert all("NVIDIA" in item["reason"] for item in result["infeasible"])
    assert {trial["partition"] for trial in lines(folder)} == {"full", "time_shared", "cpuset"}


def test_json_has_every_cell_and_stdout_nothing_else(shared: tuple[Path, Any]) -> None:
    _, (stdout, stderr) = shared
    (result,) = json.loads(stdout)
    assert [row["partition"] for row in result["rows"]] == ["full", "cpuset", "time_shared"]
    assert {row["planned"] for row in result["rows"]} == {2}
    assert all(row["measured"] == 2 for row in result["rows"])
    assert all(sum(r["trials"] for r in row["remarks"]) == 2 - row["valid"] for row in result["rows"])
    assert "stored in" in stderr


def test_without_a_terminal_progress_is_plain_lines(shared: tuple[Path, Any]) -> None:
    _, (_, stderr) = shared
    assert "\x1b" not in stderr and "\r" not in stderr
    assert [f"[{number}/6]" in stderr for number in range(1, 7)] == [True] * 6


def test_the_table_goes_to_stdout(tmp_path: Path) -> None:
    result = run_bench("run", *SPECIMEN, *SHORT, "protocol.blocks=1", "partitions=[full,mps]", cwd=tmp_path)
    assert result.returncode == 0
    assert "native" in result.stdout and "items/s" in result.stdout
    assert "infeasible: mps:" in result.stdout
    assert "[1/1]" not in result.stdout
    assert "\x1b" not in result.stdout


def test_a_seed_reproduces_the_plan_and_the_run_follows_it(shared: tuple[Path, Any]) -> None:
    folder, _ = shared
    wanted = (*SPECIMEN, *SHORT, *ALL_WAYS, *LONGER)
    plans = [
        json.loads(run_bench("plan", *wanted, f"seed={seed}", "protocol.blocks=6", "--json", cwd=folder).stdout)
        for seed in (5, 5, 6)
    ]
    ids = [[trial["id"] for trial in plan["trials"]] for plan in plans]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0][:6] == planned_ids(folder)  # more blocks change none of those before
    named = {item["partition"] or item["telemetry"] for item in plans[0]["infeasible"]}
    assert named == {"mig_1of7", "mps", "green_context", "nvml"}


def test_without_a_seed_one_is_drawn_and_recorded(tmp_path: Path) -> None:
    seeds = {json.loads(run_bench("plan", *SPECIMEN, "--json", cwd=tmp_path).stdout)["seed"] for _ in range(2)}
    assert len(seeds) == 2
    assert not (tmp_path / "results").exists()  # a plan touches nothing


def test_commas_make_separate_runs(tmp_path: Path) -> None:
    result = run_bench(
        "run", *SPECIMEN, *SHORT, "protocol.blocks=1", "scenario=single_stream,offline", "--json",
        "workload.duration_ms=0.5", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert [run["scenario"] for run in json.loads(result.stdout)] == ["single_stream", "offline"]
    folders = run_folders(tmp_path / "results")
    assert len(folders) == 2
    assert sorted(trial["batch_size"] for folder in folders for trial in lines(folder)) == [1, 32]


def test_two_runs_side_by_side_do_not_meet(tmp_path: Path) -> None:
    started = [start_bench("run", *SPECIMEN, *SHORT, f"seed={seed}", cwd=tmp_path) for seed in (1, 2)]
    for process in started:
        code, _, stderr = finish(process)
        assert code == 0, stderr
    folders = run_folders(tmp_path / "results")
    assert len(folders) == 2
    for folder in folders:
        assert [trial["id"] for trial in lines(folder)] == planned_ids(folder)


def test_the_best_batch_is_searched_once_and_used_by_every_trial(tmp_path: Path) -> None:
    folder = measured(
        "scenario=offline", "scenario.batch_size=best", "scenario.candidates=[1,2,4]", "workload.duration_ms=0.2",
        cwd=tmp_path,
    )  # fmt: skip
    cells = json.loads((folder / "cells.json").read_text())
    found = cells["full/native"]
    assert set(found["throughput_per_s"]) == {"1", "2", "4"}
    best = max(found["throughput_per_s"], key=lambda size: found["throughput_per_s"][size])
    assert {trial["batch_size"] for trial in lines(folder)} == {int(best)} == {found["batch_size"]}


WHERE_AM_I = """
import os, time
from pathlib import Path
import numpy as np

def factory(folder):
    def model(arrays):
        time.sleep(0.001)
        cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        Path(folder, str(os.getpid())).write_text(cpus + " " + os.environ["OMP_NUM_THREADS"])
        return arrays["x"]
    return model, lambda batch_size, seed: {"x": np.zeros((batch_size, 2), dtype=np.float32)}
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize("partition", ["cpuset", "time_shared"])
def test_tenants_get_the_cores_of_their_slot(tmp_path: Path, partition: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "where_am_i.py").write_text(WHERE_AM_I)
    seen = tmp_path / "seen"
    seen.mkdir()
    result = run_bench(
        "run", "workload=python", "workload.model=callable", "workload.factory=where_am_i:factory",
        f"workload.kwargs={{folder: {seen}}}", "optimizations=[native]", f"partitions=[{partition}]", *SHORT,
        "protocol.blocks=1", "--config-dir", "mine", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told = sorted(path.read_text() for path in seen.iterdir())
    cpus = sorted(os.sched_getaffinity(0))
    everything = ",".join(map(str, cpus))
    share = max(1, len(cpus) // 2)
    if partition == "cpuset":
        slots = [",".join(map(str, cpus[start : start + share])) + f" {share}" for start in (0, share)]
        assert set(slots) <= set(told)
        told = [text for text in told if text not in slots]
    else:  # tenants that share their time may run everywhere, each with its fair share of threads
        assert told.count(f"{everything} {share}") >= 2
        told = [text for text in told if text != f"{everything} {share}"]
    assert told == [f"{everything} {len(cpus)}"]  # the builder


def test_list_names_every_option(tmp_path: Path) -> None:
    found = json.loads(run_bench("list", "--json", cwd=tmp_path).stdout)
    assert {"workload", "scenario", "partitions", "optimizations", "protocol", "telemetry", "gpu"} <= set(found)
    partitions = {"full", "mig_1of7", "mig_1of3", "mps", "green_context", "time_shared", "cpuset"}
    assert partitions <= set(found["partitions"])
    assert {"smoke", "standard", "publish"} <= set(found["protocol"])
    text = run_bench("list", cwd=tmp_path).stdout
    for names in found.values():
        for name in names:
            assert re.search(rf"^  {name} +\S", text, re.MULTILINE), f"{name} has no sentence"


def test_doctor_tells_what_is_here(tmp_path: Path) -> None:
    found = json.loads(run_bench("doctor", "--json", cwd=tmp_path).stdout)
    assert found["fingerprint"]["cpu"]["usable"] == sorted(os.sched_getaffinity(0))
    assert {"mig_1of7", "mps"} <= {item["name"] for item in found["infeasible"]}
    assert all({"what", "mend"} == set(item) for item in found["warnings"])
    text = run_bench("doctor", cwd=tmp_path)
    assert text.returncode == 0
    assert "cores usable" in text.stdout
    assert list(tmp_path.iterdir()) == []  # it changes nothing


def test_plan_prints_the_composed_configuration(tmp_path: Path) -> None:
    result = run_bench("plan", *SPECIMEN, "workload.duration_ms=7", "--config", cwd=tmp_path)
    assert json.loads(result.stdout)[0]["workload"]["duration_ms"] == 7


def test_only_gives_partitions_fewer_optimizations(tmp_path: Path) -> None:
    wanted = (
        "partitions=[full,time_shared,cpuset]", "optimizations=[fp32,bf16,ort_fp32]",
        "only.time_shared=[fp32,ort_fp32]", "only.cpuset=[fp32]", "protocol.blocks=1", "--json",
    )  # fmt: skip
    plan = json.loads(run_bench("plan", *wanted, cwd=tmp_path).stdout)
    cells = sorted((trial["partition"], trial["optimization"]) for trial in plan["trials"])
    assert cells == [
        ("cpuset", "fp32"), ("cpuset", "fp32_again"),
        ("full", "bf16"), ("full", "fp32"), ("full", "fp32_again"), ("full", "ort_fp32"),
        ("time_shared", "fp32"), ("time_shared", "fp32_again"), ("time_shared", "ort_fp32"),
    ]  # fmt: skip


def test_a_reader_that_goes_away_is_no_error_and_no_answer(tmp_path: Path) -> None:
    """In a pipe that heeds it, a gate must not read as passed."""
    process = start_bench("list", cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(30) == 141
