"""The ways in which the calibration specimen can misbehave, each as bad as a real tenant could make it."""

from __future__ import annotations

import contextlib
import os
import random
import stat
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NoReturn

Fault = Literal["none", "exit", "raise", "hang", "allocate", "garbage", "unsteady"]

EXIT_STATUS = 7
ALLOCATION_BYTES = 64 * 2**20
DRIFT_PER_REQUEST = 0.01


def leave() -> NoReturn:
    """End the process at once: no exception, no clean-up, a last word on stderr."""
    os.write(2, b"calibration: leaving with status 7, as fault=exit asks\n")
    os._exit(EXIT_STATUS)


def fail() -> NoReturn:
    raise RuntimeError("calibration: failing, as fault=raise asks")


def hang() -> NoReturn:
    """Never return, without using the CPU."""
    while True:
        threading.Event().wait()


def allocate() -> NoReturn:
    """Take memory until there is none: ends in a MemoryError, or the kernel ends the process."""
    hoard = []
    while True:
        # Multiplied rather than zero-initialised: zero pages would be promised by the kernel and not taken.
        hoard.append(b"\x01" * ALLOCATION_BYTES)


def garbage() -> None:
    """Write text that is no protocol, and bytes that are no text, to stdout and every open pipe or socket."""
    noise = b"this is not the protocol\n\xff\xfe\x00" + random.Random(7).randbytes(256) + b'\n{"unfinished": '
    sys.stdout.flush()
    for descriptor in sorted({1, *_pipes()}):
        # The reading end of a pipe is refused: nothing can be polluted there.
        with contextlib.suppress(OSError):
            os.write(descriptor, noise)


def drifted_ns(duration_ns: int, late_requests: int) -> int:
    """The duration of the n-th request since the drift began: a hundredth of the true one more each time."""
    return round(duration_ns * (1 + DRIFT_PER_REQUEST * late_requests))


def _pipes() -> set[int]:
    """Open file descriptors of this process that are pipes or sockets, other than stdin."""
    found = set()
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError:  # the descriptor that listed the folder is closed by now
            continue
        if descriptor != 0 and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            found.add(descriptor)
    return found


FAULTS: Mapping[str, Callable[[], None]] = {
    "exit": leave,
    "raise": fail,
    "hang": hang,
    "allocate": allocate,
    "garbage": garbage,
}
