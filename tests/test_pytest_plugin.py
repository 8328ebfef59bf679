"""The fixture bench_trial in real sessions of pytest: what they store, what they refuse, what survives a kill."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from harness import read_table, until
from hypothesis import given
from hypothesis import strategies as st
from made_up_runs import plan, run, write
from pydantic import TypeAdapter

from bench import pytest_plugin
from bench.cli import main
from bench.devices import select
from bench.errors import BenchError, ConfigError
from bench.git import git
from bench.measure import gate, in_process, steady
from bench.records import Name, PlannedTrial
from bench.stored import read_run
from bench.suite import command_line, opened, told
from bench.suite.names import name_of, suite_name
from bench.suite.session import Session

QUICK = """
_target_: bench.contract.Protocol
blocks: 5
look_level: 0.05
warmup_min_s: 0.0
warmup_limit_s: 0.05
window_s: 0.1
window_limit_s: 5.0
min_requests: 5
trial_limit_s: 60.0
"""
SUITE = r"""
import asyncio, sys, time
import pytest

def spin(ms):
    end = time.perf_counter_ns() + int(ms * 1e6)
    while time.perf_counter_ns() < end:
        pass

def test_plain():
    pass

def test_pytest_benchmark_is_not_disturbed(benchmark):
    benchmark.pedantic(spin, args=(0.1,), rounds=1)

def test_truth(bench_trial):
    short, long = bench_trial(spin, 2), bench_trial(spin, inputs=[3, 3], items=4)
    assert long.latency_ms.p50 > short.latency_ms.p50
    assert long.throughput_per_s > short.throughput_per_s
    assert short.trial != long.trial and short.run.is_dir()

@pytest.mark.parametrize("text", ["a b", "../../etc/<script>alert\ud800\n\x1b[2J", "x" * 300])
def test_hostile(bench_trial, text):
    bench_trial(spin, 0.5)

def test_fails(bench_trial):
    calls = []
    def third_time_unlucky():
        calls.append(None)
        spin(0.5)
        if len(calls) > 3:
            raise RuntimeError("no \ud800 more")
    bench_trial(third_time_unlucky)

async def coroutine():
    pass

@pytest.mark.parametrize("unfinished", [coroutine, lambda: (x for x in "ab")])
def test_unfinished(bench_trial, unfinished):
    bench_trial(unfinished)

def test_a_result_is_no_callable(bench_trial):
    bench_trial(spin(0.1))

def test_traced(bench_trial):
    sys.settrace(lambda *event: None)
    try:
        found = bench_trial(spin, 0.5)
    finally:
        sys.settrace(None)
    assert not found.valid and "a tracer" in found.reasons[-1]
"""
SLEEPS = """
import time
def test_first(bench_trial):
    bench_trial(time.sleep, 0.002)
def test_second(bench_trial):
    bench_trial(time.sleep, 5)
"""


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What sessions get: a protocol of a tenth of a second, and no plug-ins but these."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "protocol").mkdir()
    (folder / "protocol" / "quick.yaml").write_text(QUICK)
    return {"BENCH_CONFIG_PATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}


def command(*arguments: str) -> list[str]:
    plugins = ("-p", "bench.pytest_plugin", "-p", "pytest_benchmark.plugin")
    return [sys.executable, "-P", "-m", "pytest", *plugins, "--bench-protocol=quick", *arguments]


def session(cwd: Path, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`pytest <arguments>`, waited for."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def verb(*arguments: str) -> object:
    """`bench <arguments>`, in this process: its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def suite(folder: Path, text: str) -> Path:
    (folder / "pytest.ini").write_text("[pytest]\n")  # this folder is the root
    (folder / "test_speed.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]) -> tuple[Path, str]:
    """A suite after three blocks: its folder, beside which the run lies, and what was printed. Options and values are
    apart: when the run is there, pytest would take its folder for one with tests."""
    folder = tmp_path_factory.mktemp("project") / "my suite"
    folder.mkdir()
    suite(folder, SUITE)
    done = session(folder, surroundings, "--bench-run", "../run", "--bench-blocks", "3", "-rf")
    assert done.returncode == 1, done.stdout + done.stderr
    return folder, done.stdout


def test_each_session_is_a_block_and_the_run_is_sound(measured: tuple[Path, str]) -> None:
    folder, _ = measured
    run = read_run(folder.parent / "run")
    assert not run.set_aside
    assert run.plan.workload == "my-suite" and run.plan.blocks == 3
    done = {trial.id: trial for trial in run.trials}
    assert set(done) == {planned.id for planned in run.plan.trials}
    kept = [trial for trial in run.plan.trials if done[trial.id].status != "failed"]
    orders = {block: [trial.optimization for trial in kept if trial.block == block] for block in (1, 2, 3)}
    assert len(orders[1]) == 2 + 3 + 1
    assert sorted(orders[1]) == sorted(orders[2]) and orders[1] == orders[3]
    reverse = [name for name in reversed(orders[1]) if "test_truth" not in name]
    assert [name for name in orders[2] if "test_truth" not in name] == reverse
    for trial in run.trials:
        stored = (folder.parent / "run" / "samples" / f"{trial.id}.parquet").exists()
        assert stored == (trial.status != "failed")
    assert {trial.batch_size for trial in run.trials} == {1, 4}
    assert all(trial.proof == {} and trial.quality is None for trial in run.trials)


def test_durations_are_true(measured: tuple[Path, str]) -> None:
    """3 ms and 2 ms in the same sessions: 1.5 within 2 %, where nobody took the core away."""
    folder, _ = measured
    found: dict[int, list[float]] = {1: [], 4: []}
    for trial in read_run(folder.parent / "run").trials:
        if "test_truth" in trial.optimization:
            table = read_table(folder.parent / "run" / "samples" / f"{trial.id}.parquet")
            found[trial.batch_size].append(min(table["latency_ns"]))
    assert median(found[4]) / median(found[1]) == pytest.approx(1.5, rel=0.02)


def test_what_a_callable_raises_the_test_gets_and_the_run_keeps(measured: tuple[Path, str]) -> None:
    folder, printed = measured
    failed = [trial for trial in read_run(folder.parent / "run").trials if trial.status == "failed"]
    assert {trial.block for trial in failed} == {1}  # what raises is not repeated
    told = {trial.artifact["test"]: trial.reason or "" for trial in failed}
    assert told["test_speed.py::test_fails"].startswith("RuntimeError: no ? more")
    assert "returns a coroutine" in told["test_speed.py::test_unfinished[coroutine]"]
    assert "returns a generator" in told["test_speed.py::test_unfinished[<lambda>]"]
    assert "NoneType cannot be called" in printed and "hint: give the function" in printed
    assert "4 failed" in printed and "never awaited" not in printed


def test_it_is_told_at_the_end(measured: tuple[Path, str]) -> None:
    folder, printed = measured
    assert "block 3 of 3, in a fresh process" in printed
    assert f"bench report {folder.parent / 'run'}" in printed.replace("'", "")
    assert "a tracer (coverage, a debugger) watched every line" in printed
    assert "\x1b[2J" not in printed


def test_a_later_session_adds_a_block_and_a_report_is_made(
    measured: tuple[Path, str], surroundings: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, _ = measured
    path = folder.parent / "run"
    before = (path / "run.json").read_bytes()
    done = session(folder, surroundings, "--bench-run=../run", "-k", "truth or traced", "-q", "--bench-strict")
    assert done.returncode == 1 and "is invalid: " in done.stdout  # the traced one, and only as it is asked for
    run = read_run(path)
    assert run.plan.blocks == 4 and sum(trial.block == 4 for trial in run.trials) >= 2
    assert (path / "run.json").read_bytes() == before
    assert verb("report", str(path), "--output", str(tmp_path)) == 0
    assert "<script>alert" not in next(tmp_path.glob("*.html")).read_text()
    assert verb("run", "--resume", str(path)) == 2
    assert "sessions of pytest" in capsys.readouterr().err


def test_a_run_that_pytest_takes_for_tests_is_told(measured: tuple[Path, str], surroundings: dict[str, str]) -> None:
    folder, _ = measured
    done = session(folder, surroundings, "--bench-run", "../run")
    assert done.returncode == 4
    assert "hint: write --bench-run=../run" in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 2)])
def test_what_is_finished_survives(
    number: signal.Signals, status: int, tmp_path: Path, surroundings: dict[str, str], quick: opened.Asked
) -> None:
    """A kill and Ctrl-C in the second of two callables; the next session goes on."""
    folder = suite(tmp_path, SLEEPS)
    running = subprocess.Popen(
        command("--bench-run=run"), cwd=folder, env={**os.environ, **surroundings}, stdout=subprocess.PIPE, text=True
    )
    until(lambda: (folder / "run" / "plan.json").exists() and len(_planned(folder)) == 2, "the second trial", 60)
    running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode == status
    made = Session(replace(quick, suite=suite_name(tmp_path.name), run=folder / "run"))
    made.measure("test_speed.py::test_first", 1, [partial(time.sleep, 0.002)], 1, None)
    made.close()
    run = read_run(folder / "run")
    assert not run.set_aside and run.plan.blocks == 2
    assert [(trial.block, trial.status == "failed") for trial in run.trials] == [(1, False), (1, True), (2, False)]


def _planned(folder: Path) -> list[str]:
    return [trial["id"] for trial in json.loads((folder / "run" / "plan.json").read_text())["trials"]]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"suite": "other"}, "this session of other"),
        ({"protocol": "smoke"}, "this session of smoke"),
        ({"protocol": "nope"}, "there is no protocol 'nope'"),
        ({"run": Path()}, "this is not a run"),
        ({"run": Path("test_speed.py")}, "this is not a run"),
    ],
)
def test_what_would_not_fit_is_refused_before_a_test_runs(
    measured: tuple[Path, str], quick: opened.Asked, changed: dict[str, Any], what: str
) -> None:
    folder, _ = measured
    asked = replace(quick, suite="my-suite", project=folder, run=folder.parent / "run")
    if "run" in changed:
        changed = {"run": folder / changed["run"]}
    with pytest.raises(ConfigError, match=what):
        Session(replace(asked, **changed))


@pytest.mark.parametrize("text", ["0", "-1", "x", "²", "10001"])
def test_blocks_are_a_number(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no number of blocks"):
        pytest_plugin._positive(text)


def test_other_libraries_make_another_run(measured: tuple[Path, str], surroundings: dict[str, str]) -> None:
    folder, _ = measured
    path = folder.parent / "run" / "run.json"
    kept = path.read_text()
    description = json.loads(kept)
    description["subject"]["libraries"]["numpy"] = "1.0"
    path.write_text(json.dumps(description))
    done = session(folder, surroundings, "--bench-run=../run", "-k", "truth")
    path.write_text(kept)
    assert done.returncode == 4
    assert "has changed since it was begun: numpy 1.0 → " in done.stderr
    assert "Traceback" not in done.stderr


def test_another_commit_or_a_change_makes_another_run(quick: opened.Asked, tmp_path: Path) -> None:
    asked = replace(quick, project=tmp_path / "project", run=tmp_path / "run")
    asked.project.mkdir()
    (asked.project / "code.py").write_text("ONE = 1\n")
    git(asked.project, "init", "-q")
    commit(asked.project, "one")
    made = Session(asked)
    made.measure("test_a.py::test_b", 1, [int], 1, None)
    made.close()
    Session(asked).close()  # wherever this test runs, whose own checkout may change meanwhile
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    assert kept["fingerprint"]["project_commit"] == kept["subject"]["project"]["commit"]
    (asked.project / "code.py").write_text("ONE = 2\n")
    with pytest.raises(ConfigError, match="has changed since it was begun: project commit"):
        Session(asked)
    commit(asked.project, "two")
    with pytest.raises(ConfigError, match="has changed since it was begun: project commit"):
        Session(asked)


def commit(folder: Path, message: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    git(folder, "add", ".")
    git(folder, *who, "commit", "-q", "-m", message)


def test_beside_other_tests_nothing_is_measured(tmp_path: Path, surroundings: dict[str, str]) -> None:
    """In a worker of pytest-xdist; and a test that was repeated in one session is no second observation."""
    suite(tmp_path, "def test_one(bench_trial):\n    bench_trial(int)\n")
    (tmp_path / "conftest.py").write_text("def pytest_configure(config):\n    config.workerinput = {}\n")
    done = session(tmp_path, surroundings)
    assert done.returncode == 1 and "hint: run these tests with -n 0" in done.stdout
    assert not (tmp_path / "results").exists()


def test_pytest_finds_it_where_bench_is_installed() -> None:
    (found,) = metadata.entry_points(group="pytest11", name="bench")
    assert found.value == "bench.pytest_plugin"


def test_sessions_without_the_fixture_pay_nothing(tmp_path: Path, surroundings: dict[str, str]) -> None:
    suite(tmp_path, "import sys\ndef test_one():\n    assert not {'numpy', 'hydra', 'pydantic'} & set(sys.modules)\n")
    done = session(tmp_path, surroundings)
    assert done.returncode == 0, done.stdout
    assert "bench_trial" not in done.stdout and not (tmp_path / "results").exists()


@pytest.fixture
def quick(surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> opened.Asked:
    monkeypatch.setenv("BENCH_CONFIG_PATH", surroundings["BENCH_CONFIG_PATH"])
    return opened.Asked("gpus", tmp_path, "quick", tmp_path / "results")


def test_a_gpus_callable_is_waited_for(quick: opened.Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a made-up GPU: its name and telemetry, the host's clock, and no CPU callable beside it."""
    node = {"kind": "rehearsal", "model": "a100-40gb", "state": str(tmp_path / "state.json")}
    device = select.find_device(node)
    monkeypatch.setattr(opened, "find_device", lambda kind: device)
    made = Session(quick)
    order: list[str] = []
    found = made.measure("test_a.py::test_b", 1, [lambda: order.append("call")], 2, lambda: order.append("wait"))
    with pytest.raises(BenchError, match="this callable runs on the CPU, and the others of this run on the GPU"):
        made.measure("test_a.py::test_c", 1, [int], 1, None)
    with pytest.raises(BenchError, match="measured in this session already"):
        made.measure("test_a.py::test_b", 1, [int], 1, int)
    made.close()
    assert order == ["call", "wait"] * (len(order) // 2)
    run = read_run(found.run)
    assert run.plan.device_kind == "cuda" and not run.set_aside
    (trial,) = run.trials
    assert trial.tenant_gpus and trial.batch_size == 2
    assert "gpu_sm_clock_hz" in trial.telemetry


def test_without_a_gpu_its_callables_are_infeasible(quick: opened.Asked) -> None:
    made = Session(quick)
    with pytest.raises(BenchError, match="there is no NVIDIA driver"):
        made.measure("test_a.py::test_b", 1, [int], 1, int)
    assert made.folder is None
    made.close()


def test_a_profiler_is_noticed() -> None:
    assert in_process._tracer() is None
    sys.setprofile(lambda *event: None)
    try:
        assert in_process._tracer() == "a profiler"
    finally:
        sys.setprofile(None)


@given(st.lists(st.tuples(st.text(max_size=300), st.integers(1, 3)), unique=True, max_size=20))
def test_names_are_safe_and_unique(asked: list[tuple[str, int]]) -> None:
    names = [name_of(*one) for one in asked]
    assert len(set(names)) == len(names)
    for name in names:
        TypeAdapter(Name).validate_python(f"001-01-full-{name}")
        TypeAdapter(Name).validate_python(name)


@given(st.text(max_size=300))
def test_a_suite_has_a_name(folder: str) -> None:
    TypeAdapter(Name).validate_python(suite_name(folder))


def test_names_can_be_read() -> None:
    assert name_of("tests/test_a.py::TestB::test_c[short-2]") == "tests.test_a-TestB-test_c-short-2"
    assert name_of("test_a.py::test_b[a b]").startswith("test_a-test_b-a-b-")
    assert name_of("test_a.py::test_b", 2).startswith("test_a-test_b-2-")


def test_the_run_is_said_once_and_before_what_are_paths() -> None:
    added = ["--bench-run=x"]
    assert command_line.again(["-q", "--bench-run", "y", "a.py", "--", "--bench-run"], added) == [
        "-q", "a.py", "--bench-run=x", "--", "--bench-run",
    ]  # fmt: skip
    assert command_line.again(["--bench-run=y", "--bench-run"], added) == added


def test_only_what_may_lead_pytest_elsewhere_is_misplaced(tmp_path: Path) -> None:
    here = tmp_path / "here"
    for folder in (here / "run", tmp_path / "run"):
        folder.mkdir(parents=True)
    for said in ("../run", str(tmp_path / "run"), "../here/../run"):
        assert command_line.misplaced(["--bench-run", said], here) == said
        assert command_line.misplaced([f"--bench-run={said}"], here) is None
        assert command_line.misplaced(["--", "--bench-run", said], here) is None
    for said in ("run", "../here/run", "../none", "x" * 5000, "\0"):
        assert command_line.misplaced(["--bench-run", said], here) is None


@pytest.mark.parametrize(("invalid", "hints"), [(0, 0), (5, 0), (6, 1), (10, 1)])
def test_where_most_is_invalid_it_says_what_to_do_once(tmp_path: Path, invalid: int, hints: int) -> None:
    def busy(planned: PlannedTrial) -> dict[str, Any]:
        return {"status": "invalid", "reason": "a made-up one"} if planned.block <= invalid else {}

    made = run(plan({"full": ["test_a", "test_b"]}, baseline="none"), busy)
    found = list(told.lines(write(made, tmp_path / "run")))
    assert sum("end other work" in line for line in found) == hints


def test_a_slower_version_is_found(quick: opened.Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Four times as long, so that a busy machine cannot hide it: what is asked is whether the runs fit together."""
    for name in ("RUN_DELAY_LIMIT", "FOREIGN_CPU_LIMIT", "STEAL_LIMIT", "TELEMETRY_GAP_LIMIT"):
        monkeypatch.setattr(gate, name, 1e9)
    monkeypatch.setattr(steady, "is_steady", lambda *_: True)
    monkeypatch.setattr(steady, "HALF", 1)
    for name, nap_s in (("base", 0.004), ("slower", 0.016)):
        for _ in range(5):
            made = Session(replace(quick, run=tmp_path / name))
            assert made.measure("test_a.py::test_nap", 1, [partial(time.sleep, nap_s)], 1, None).valid
            made.close()
    assert verb("compare", str(tmp_path / "base"), str(tmp_path / "slower"), "--day-to-day", "0.005") == 1
