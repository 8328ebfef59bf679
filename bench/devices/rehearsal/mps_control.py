"""A stand-in for nvidia-cuda-mps-control, so that runs with MPS can be rehearsed.

    python -m bench.devices.rehearsal.mps_control -f               # the daemon, in the foreground; -d: behind
    echo quit | python -m bench.devices.rehearsal.mps_control   # a command for it

As the real one it keeps a FIFO and its process id in CUDA_MPS_PIPE_DIRECTORY, its log in CUDA_MPS_LOG_DIRECTORY, and
allows one daemon to a pipe directory. It starts no servers, as no client of it ever computes on a GPU.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO, cast

PID_FILE = "nvidia-cuda-mps-control.pid"
PAUSE_S = 0.02
REFUSED = 1
"""Exit code."""


def main(arguments: list[str]) -> int:
    pipes = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    logs = Path(os.environ.get("CUDA_MPS_LOG_DIRECTORY", "/var/log/nvidia-mps"))
    if arguments == ["-f"]:
        return _serve(pipes, logs)
    if arguments == ["-d"]:
        return _start_in_background(pipes)
    if arguments:
        sys.stderr.write(f"Unknown option {arguments[0]}: -d and -f are rehearsed\n")
        return 2
    return _send(pipes, sys.stdin.read().split("\n"))


def _serve(pipes: Path, logs: Path) -> int:
    """Until `quit` or SIGTERM."""
    pipes.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (pipes / "control_lock").open("a") as lock, (logs / "control.log").open("a") as log:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("An instance of this daemon is already running\n")
            return REFUSED
        fifo, pid = pipes / "control", pipes / PID_FILE
        try:
            with _commands(fifo) as commands:
                pid.write_text(f"{os.getpid()}\n")
                fifo.with_suffix(".new").replace(fifo)  # whoever sees it finds a reader
                while (command := commands.readline().decode().strip()) != "quit":
                    log.write(f"{command}\n")
                    log.flush()
        finally:
            fifo.unlink(missing_ok=True)
            pid.unlink(missing_ok=True)
    return 0


def _commands(fifo: Path) -> BinaryIO:
    """A new FIFO beside `fifo`, open to read and to write: so it never comes to an end."""
    new = fifo.with_suffix(".new")
    new.unlink(missing_ok=True)
    os.mkfifo(new)
    return cast(BinaryIO, os.fdopen(os.open(new, os.O_RDWR), "r+b", buffering=0))


def _start_in_background(pipes: Path) -> int:
    command = [sys.executable, "-m", "bench.devices.rehearsal.mps_control", "-f"]
    nowhere = subprocess.DEVNULL
    child = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=subprocess.PIPE, start_new_session=True)
    while child.poll() is None and _daemon(pipes) != child.pid:
        time.sleep(PAUSE_S)
    if child.poll():
        sys.stderr.write(child.communicate()[1].decode())
    return child.poll() or 0


def _send(pipes: Path, commands: list[str]) -> int:
    daemon = _daemon(pipes)
    try:
        fifo = os.open(pipes / "control", os.O_WRONLY | os.O_NONBLOCK)  # refused where nobody reads
    except OSError:
        sys.stderr.write("Cannot find MPS control daemon process\n")
        return REFUSED
    with os.fdopen(fifo, "w") as pipe:
        pipe.write("".join(f"{command}\n" for command in commands if command))
    while "quit" in commands and _daemon(pipes) == daemon:  # as the real one: back when the daemon has ended
        time.sleep(PAUSE_S)
    return 0


def _daemon(pipes: Path) -> int | None:
    """Process id of the daemon that lives there."""
    try:
        pid = int((pipes / PID_FILE).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
