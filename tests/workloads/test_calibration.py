"""The specimen takes as long as it says, and its faults are the faults they are called."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import hydra
import pydantic
import pytest
from omegaconf import OmegaConf

from bench.contract import Workload
from workloads.calibration import Calibration

CONFIG = Path(__file__).parents[2] / "configs" / "workload" / "calibration.yaml"


def misbehave(fault: str, after: int = 2, requests: int = 3, prelude: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run `requests` requests of a misbehaving specimen in a process of its own."""
    code = f"""
{prelude}
from workloads.calibration import Calibration
workload = Calibration(duration_ms=0.1, fault={fault!r}, fault_after_requests={after})
call, inputs = workload.load(), workload.inputs(1, 0)
for n in range({requests}):
    print("request", n, flush=True)
    call(inputs)
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("mode", ["spin", "sleep"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_batch_takes_n_times_an_item(mode: str, batch_size: int) -> None:
    workload = Calibration(mode=mode, duration_ms=2.0)
    call, inputs = workload.load(), workload.inputs(batch_size, seed=0)
    taken_ms = []
    for _ in range(10):
        begin_ns = time.perf_counter_ns()
        call(inputs)
        taken_ms.append((time.perf_counter_ns() - begin_ns) / 1e6)
    # Never shorter; the best of ten is close even on a busy machine.
    assert 2.0 * batch_size <= min(taken_ms) < 2.0 * batch_size + 1.0


def test_spinning_uses_the_cpu_and_sleeping_does_not() -> None:
    used_s = {}
    for mode in ("spin", "sleep"):
        call, inputs = (
            Calibration(mode=mode, duration_ms=100).load(),
            {"item": Calibration().inputs(1, 0)["item"]},
        )
        begin_s = time.thread_time()
        call(inputs)
        used_s[mode] = time.thread_time() - begin_s
    assert used_s["spin"] > 5 * used_s["sleep"]


@pytest.mark.parametrize("duration_ms", [0, -1, float("inf"), float("nan"), "soon"])
def test_a_duration_is_positive_and_finite(duration_ms: object) -> None:
    with pytest.raises(pydantic.ValidationError, match="duration_ms"):
        Calibration(duration_ms=duration_ms)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError):
        Calibration(slow=True)
    with pytest.raises(pydantic.ValidationError):
        Calibration(fault="explode")


def test_the_configuration_is_the_default_one() -> None:
    workload = hydra.utils.instantiate(OmegaConf.load(CONFIG), _convert_="all")
    assert isinstance(workload, Workload)
    assert workload == Calibration()
    assert workload.kind == "callable"
    assert workload.evaluation() is None
    assert json.loads(json.dumps(workload.identity())) == workload.identity()
    assert CONFIG.read_text().startswith("# ")


def test_exit_leaves_at_once_with_a_last_word() -> None:
    done = misbehave("exit")
    assert done.returncode == 7
    assert done.stdout.count(b"request") == 3
    assert b"status 7" in done.stderr


def test_raise_is_an_ordinary_exception() -> None:
    done = misbehave("raise")
    assert done.returncode == 1
    assert b"RuntimeError" in done.stderr


def test_hang_never_returns() -> None:
    with pytest.raises(subprocess.TimeoutExpired) as hung:
        subprocess.run(
            [
                sys.executable,
                "-c",
                "from workloads.calibration import Calibration as C\n"
                "w = C(fault='hang', duration_ms=0.1)\nprint('in', flush=True)\nw.load()(w.inputs(1, 0))",
            ],
            stdout=subprocess.PIPE,
            timeout=3,
            check=False,
        )
    assert hung.value.stdout == b"in\n"


def test_allocate_takes_memory_until_there_is_none() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))"
    done = misbehave("allocate", prelude=limit)
    assert done.returncode == 1
    assert b"MemoryError" in done.stderr


def test_garbage_pollutes_every_pipe_and_goes_on() -> None:
    done = misbehave("garbage", requests=5)
    assert done.returncode == 0
    assert done.stdout.count(b"request") == 5
    for stream in (done.stdout, done.stderr):
        assert b"this is not the protocol" in stream
        with pytest.raises(UnicodeDecodeError):
            stream.decode()


def test_unsteady_drifts_up() -> None:
    workload = Calibration(duration_ms=1.0, fault="unsteady", fault_after_requests=5)
    call, inputs = workload.load(), workload.inputs(1, 0)
    wanted_ns: list[int] = []
    call._wait = wanted_ns.append
    for _ in range(105):
        call(inputs)
    assert wanted_ns[:5] == [1_000_000] * 5
    assert wanted_ns[5:] == sorted(wanted_ns[5:])
    assert wanted_ns[-1] == 2_000_000


def test_it_imports_nothing_heavy() -> None:
    code = "import sys, workloads.calibration; print('torch' in sys.modules, 'onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
