"""The stand-in for nvidia-cuda-mps-control: one daemon to a folder, from its start to `quit` or SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CONTROL = [sys.executable, "-m", "bench.devices.rehearsal.mps_control"]
PID_FILE = "nvidia-cuda-mps-control.pid"
Control = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """control(*options, say=""): runs it with its folders in tmp_path."""
    folders = {"CUDA_MPS_PIPE_DIRECTORY": str(tmp_path / "pipe"), "CUDA_MPS_LOG_DIRECTORY": str(tmp_path / "log")}

    def call(*options: str, say: str = "") -> subprocess.CompletedProcess[str]:
        env = os.environ | folders
        return subprocess.run([*CONTROL, *options], input=say, env=env, text=True, capture_output=True, timeout=30)

    return call


def test_from_start_to_quit(control: Control, tmp_path: Path) -> None:
    assert control("-d").returncode == 0
    pid = int((tmp_path / "pipe" / PID_FILE).read_text())
    os.kill(pid, 0)
    assert (tmp_path / "pipe/control").is_fifo()
    for option in ("-d", "-f"):
        second = control(option)
        assert (second.returncode, second.stderr) == (1, "An instance of this daemon is already running\n")
    servers = control(say="get_server_list\n")
    assert (servers.returncode, servers.stdout) == (0, "")
    assert control(say="quit\n").returncode == 0
    assert not (tmp_path / "pipe/control").exists()
    assert not (tmp_path / "pipe" / PID_FILE).exists()
    assert (tmp_path / "log/control.log").read_text() == "get_server_list\n"


def test_sigterm_ends_it(control: Control, tmp_path: Path) -> None:
    control("-d")
    os.kill(int((tmp_path / "pipe" / PID_FILE).read_text()), signal.SIGTERM)
    while (tmp_path / "pipe" / PID_FILE).exists():
        time.sleep(0.01)
    assert not (tmp_path / "pipe/control").exists()
    assert control("-d").returncode == 0
    assert control(say="quit\n").returncode == 0


def test_without_a_daemon_nothing_can_be_said(control: Control) -> None:
    answer = control(say="quit\n")
    assert (answer.returncode, answer.stderr) == (1, "Cannot find MPS control daemon process\n")


def test_a_killed_daemon_leaves_room_for_the_next(control: Control, tmp_path: Path) -> None:
    control("-d")
    os.kill(int((tmp_path / "pipe" / PID_FILE).read_text()), signal.SIGKILL)
    while control(say="get_server_list\n").returncode == 0:
        pass
    assert control("-d").returncode == 0
    assert control(say="quit\n").returncode == 0
