"""The fixture bench_trial in real sessions of pytest: what they store, what they refuse, what survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from statistics import median

import pytest
from harness import lines, read_table, until
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bench.cli import main
from bench.devices import select
from bench.errors import BenchError
from bench.measure import in_process
from bench.records import Name
from bench.stored import read_run
from bench.suite import opened
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

@pytest.mark.parametrize("text", ["plain", "../../etc/passwd", "a b", "a/b", "<script>", "\ud800\n\x1b[2J", "x" * 300])
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
    """A suite after `pytest --bench-blocks 3`: its folder, and what that printed."""
    folder = suite(tmp_path_factory.mktemp("my suite"), SUITE)
    done = session(folder, surroundings, "--bench-run=run", "--bench-blocks=3", "-rf")
    assert done.returncode == 1, done.stdout + done.stderr
    return folder, done.stdout


def test_each_session_is_a_block_and_the_run_is_sound(measured: tuple[Path, str]) -> None:
    folder, _ = measured
    run = read_run(folder / "run")
    assert not run.set_aside
    assert run.plan.workload.startswith("my-suite") and run.plan.blocks == 3
    done = {trial.id: trial for trial in run.trials}
    assert set(done) == {planned.id for planned in run.plan.trials}
    kept = [trial for trial in run.plan.trials if done[trial.id].status != "failed"]
    orders = {block: [trial.optimization for trial in kept if trial.block == block] for block in (1, 2, 3)}
    assert len(orders[1]) == 2 + 7 + 1
    assert sorted(orders[1]) == sorted(orders[2]) and orders[1] == orders[3]
    reverse = [name for name in reversed(orders[1]) if "test_truth" not in name]
    assert [name for name in orders[2] if "test_truth" not in name] == reverse
    for trial in run.trials:
        stored = (folder / "run" / "samples" / f"{trial.id}.parquet").exists()
        assert stored == (trial.status != "failed")
    assert {trial.batch_size for trial in run.trials} == {1, 4}
    assert all(trial.proof == {} and trial.quality is None for trial in run.trials)


def test_durations_are_true(measured: tuple[Path, str]) -> None:
    """3 ms and 2 ms in the same sessions: 1.5 within 2 %, where nobody took the core away."""
    folder, _ = measured
    found: dict[int, list[float]] = {1: [], 4: []}
    for trial in read_run(folder / "run").trials:
        if "test_truth" in trial.optimization:
            table = read_table(folder / "run" / "samples" / f"{trial.id}.parquet")
            found[trial.batch_size].append(min(table["latency_ns"]))
    assert median(found[4]) / median(found[1]) == pytest.approx(1.5, rel=0.02)


def test_what_a_callable_raises_the_test_gets_and_the_run_keeps(measured: tuple[Path, str]) -> None:
    folder, printed = measured
    failed = [trial for trial in read_run(folder / "run").trials if trial.status == "failed"]
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
    assert f"bench report {json.dumps(str(folder))[1:-1]}" in printed.replace("'", "")
    assert "a tracer (coverage, a debugger) watched every line" in printed
    assert "\x1b[2J" not in printed


def test_a_later_session_adds_a_block_and_a_report_is_made(
    measured: tuple[Path, str], surroundings: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, _ = measured
    before = (folder / "run" / "run.json").read_bytes()
    done = session(folder, surroundings, "--bench-run=run", "-k", "truth", "-q")
    assert done.returncode == 0, done.stdout
    run = read_run(folder / "run")
    assert run.plan.blocks == 4 and sum(trial.block == 4 for trial in run.trials) == 2
    assert (folder / "run" / "run.json").read_bytes() == before
    assert verb("report", str(folder / "run"), "--output", str(tmp_path)) == 0
    assert "<script>alert" not in next(tmp_path.glob("*.html")).read_text()
    assert verb("run", "--resume", str(folder / "run")) == 2
    assert "sessions of pytest" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 2)])
def test_what_is_finished_survives(
    number: signal.Signals, status: int, tmp_path: Path, surroundings: dict[str, str]
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
    done = session(folder, surroundings, "--bench-run=run", "-k", "first")
    assert done.returncode == 0, done.stdout
    run = read_run(folder / "run")
    assert not run.set_aside and run.plan.blocks == 2
    assert [(trial.block, trial.status == "failed") for trial in run.trials] == [(1, False), (1, True), (2, False)]


def _planned(folder: Path) -> list[str]:
    return [trial["id"] for trial in json.loads((folder / "run" / "plan.json").read_text())["trials"]]


REFUSED = [
    (("--bench-run=run", "--bench-suite=other"), "this session of other"),
    (("--bench-run=run", "--bench-protocol=smoke"), "this session of smoke"),
    (("--bench-run=.",), "this folder is not a run"),
    (("--bench-protocol=nope",), "there is no protocol 'nope'"),
    (("--bench-blocks=0",), "is no number of blocks"),
]


@pytest.mark.parametrize(("arguments", "told"), REFUSED)
def test_what_would_not_fit_is_refused_before_a_test_runs(
    measured: tuple[Path, str], surroundings: dict[str, str], arguments: tuple[str, ...], told: str
) -> None:
    folder, _ = measured
    done = session(folder, surroundings, *arguments, "-k", "truth")
    assert done.returncode == 4, done.stdout
    assert told in done.stderr and "Traceback" not in done.stderr


def test_other_libraries_or_another_commit_make_another_run(
    measured: tuple[Path, str], surroundings: dict[str, str]
) -> None:
    folder, _ = measured
    path = folder / "run" / "run.json"
    kept = path.read_text()
    description = json.loads(kept)
    description["subject"]["libraries"]["numpy"] = "1.0"
    path.write_text(json.dumps(description))
    done = session(folder, surroundings, "--bench-run=run", "-k", "truth")
    path.write_text(kept)
    assert done.returncode == 4
    assert "has changed since it was begun: numpy 1.0 → " in done.stderr


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


def test_strict_fails_a_test_whose_trial_is_invalid(tmp_path: Path, surroundings: dict[str, str]) -> None:
    suite(tmp_path, SUITE)
    done = session(tmp_path, surroundings, "-k", "traced", "--bench-strict")
    assert done.returncode == 1 and "is invalid: " in done.stdout
    (run,) = (tmp_path / "results").iterdir()
    assert [line["status"] for line in lines(run)] == ["invalid"]


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


@pytest.mark.slow
def test_a_slower_version_is_found(tmp_path: Path, surroundings: dict[str, str]) -> None:
    """Half as long again, so that a busy machine cannot hide it: what is asked is whether the runs fit together."""
    text = (
        "import os, time\ndef test_nap(bench_trial):\n    bench_trial(time.sleep, float(os.environ['NAP_MS']) / 1e3)\n"
    )
    suite(tmp_path, text)
    limits = ("RUN_DELAY_LIMIT", "FOREIGN_CPU_LIMIT", "STEAL_LIMIT", "TELEMETRY_GAP_LIMIT")
    patches = "".join(f"gate.{name} = 1e9\n" for name in limits)
    unsteady = "steady.is_steady = lambda *_: True\nsteady.HALF = 1\n"
    (tmp_path / "conftest.py").write_text(f"from bench.measure import gate, steady\n{patches}{unsteady}")
    for name, nap_ms in (("base", 4), ("slower", 6)):
        options = (f"--bench-run={name}", "--bench-blocks=6")
        done = session(tmp_path, {**surroundings, "NAP_MS": str(nap_ms)}, *options)
        assert done.returncode == 0, done.stdout
    base, slower = str(tmp_path / "base"), str(tmp_path / "slower")
    assert verb("compare", base, slower, "--day-to-day", "0.005") == 1
