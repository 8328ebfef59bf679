"""A step's process: one at a time per folder, ended in time, and never left behind."""

from __future__ import annotations

import ctypes
import fcntl
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

from bench.errors import BenchError
from bench.isolation.confine import PR_SET_PDEATHSIG

NOT_FINISHED = 3
INTERRUPTED = 130
GRACE_S = 45.0
"""How long before the end a run is interrupted: it stores what it has, and ends its tenants."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Busy(BenchError):
    """Another call, or what one that was killed had begun, writes into the folder."""

    exit_code = NOT_FINISHED


def hold(folder: Path) -> IO[str]:
    """Hold the folder. The step's process inherits the lock: it is free when both are gone, however they ended."""
    lock = (folder / ".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Busy(
            "another acceptance run, or a step that one left behind, is writing here",
            where=str(folder),
            hint="call it again when that has ended, or name another --folder",
        ) from error
    return lock


def end_as_by_ctrl_c() -> None:
    """SIGTERM and a lost terminal, too. What was ignored stays so: that is what nohup is for."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """Once: a second signal must not keep the step from putting things back."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def watched(command: tuple[str, ...], output: IO[str], errors: IO[str], limit_s: float, lock: IO[str]) -> int | None:
    """The exit code; None when it was interrupted, because the time was up or somebody ended this script."""
    process = subprocess.Popen(
        command,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        pass_fds=(lock.fileno(),),
        preexec_fn=_ended_with(os.getpid()),  # this script has no other threads, which would make that unsafe
    )
    try:
        return process.wait(None if math.isinf(limit_s) else limit_s)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        _interrupt(process)
        return None


def _ended_with(parent_pid: int) -> Callable[[], None] | None:
    """Linux: the step is asked to end when this script is killed. SIGTERM and not SIGKILL, so that it puts back the
    GPU's layout."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent_pid:  # it was gone before the line above
            os._exit(1)

    return in_child


def _interrupt(process: subprocess.Popen[Any]) -> None:
    """Ask it to end, and see to it that nothing of it is left. SIGINT would be ignored where this script runs in the
    background."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S * 2 / 3)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
