"""The private MPS daemon: there while it is needed, gone afterwards, even when bench is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from harness import until

from bench.errors import InfeasibleHere
from bench.partitions.mps_daemon import running

CONTROL = [sys.executable, "-P", "-m", "bench.devices.rehearsal.mps_control"]
USER = """
import sys
from bench.partitions.mps_daemon import running
with running({command!r}, {{}}) as folders:
    print(folders["CUDA_MPS_PIPE_DIRECTORY"], flush=True)
    sys.stdin.read()
"""


def _daemon(pipe: Path) -> psutil.Process:
    return psutil.Process(int((pipe / "nvidia-cuda-mps-control.pid").read_text()))


def test_the_daemon_lives_as_long_as_the_context() -> None:
    with running(CONTROL, {}) as folders:
        pipe = Path(folders["CUDA_MPS_PIPE_DIRECTORY"])
        assert pipe.is_dir() and Path(folders["CUDA_MPS_LOG_DIRECTORY"]).is_dir()
        daemon = _daemon(pipe)
        assert daemon.is_running()
    assert not daemon.is_running()
    assert not pipe.exists()


def test_an_error_within_stops_it_too() -> None:
    with pytest.raises(RuntimeError), running(CONTROL, {}) as folders:
        daemon = _daemon(Path(folders["CUDA_MPS_PIPE_DIRECTORY"]))
        raise RuntimeError
    assert not daemon.is_running()


def test_two_daemons_do_not_meet() -> None:
    with running(CONTROL, {}) as one, running(CONTROL, {}) as other:
        assert one["CUDA_MPS_PIPE_DIRECTORY"] != other["CUDA_MPS_PIPE_DIRECTORY"]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_stopped_when_bench_is_killed(ending: signal.Signals) -> None:
    user = subprocess.Popen(
        [sys.executable, "-c", USER.format(command=CONTROL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert user.stdout and user.stdin
        pipe = Path(user.stdout.readline().strip())
        daemon = _daemon(pipe)
        os.kill(user.pid, ending)
        until(lambda: not daemon.is_running(), "the end of the daemon")
        until(lambda: not pipe.parent.exists(), "the end of its folder")
    finally:
        user.kill()
        user.wait()
        user.stdin.close()
        user.stdout.close()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_stopped_when_its_keeper_is_killed(ending: signal.Signals) -> None:
    with running(CONTROL, {}) as folders:
        daemon = _daemon(Path(folders["CUDA_MPS_PIPE_DIRECTORY"]))
        keeper = daemon.parent()
        assert keeper is not None and "mps_keeper" in " ".join(keeper.cmdline())
        keeper.send_signal(ending)
    until(lambda: not daemon.is_running(), "the end of the daemon")


def test_a_daemon_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    refusing = tmp_path / "refusing.py"
    refusing.write_text(
        "import os, pathlib\n"
        "pathlib.Path(os.environ['CUDA_MPS_LOG_DIRECTORY'], 'control.log').write_text('it is not permitted\\n')\n"
    )
    with pytest.raises(InfeasibleHere, match="it is not permitted"), running([sys.executable, str(refusing)], {}):
        pass
