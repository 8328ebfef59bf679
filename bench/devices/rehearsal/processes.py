"""Which processes hold a rehearsed GPU. A process is known by its number and its start, since numbers come again."""

from __future__ import annotations

import os
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

DEAD = frozenset({"Z", "X"})
"""States in /proc of processes that have ended and are not yet waited for: they hold nothing any more."""
STAT_BYTES = 1024
"""More than /proc/<pid>/stat is long."""


class Process(NamedTuple):
    """started: in clock ticks since the machine was booted."""

    pid: int
    started: int


class Session(BaseModel):
    """An NVML that a process has initialised and not shut down."""

    model_config = ConfigDict(frozen=True)

    process: Process


class Context(BaseModel):
    """A CUDA context on a GPU or MIG device. `since_ns`: on the clock of bench.clock."""

    model_config = ConfigDict(frozen=True)

    process: Process
    uuid: str
    since_ns: int
    mps: bool = False


def this_process() -> Process:
    this = process(os.getpid())
    assert this is not None, "this process runs"
    return this


def process(pid: int) -> Process | None:
    """None: it has ended."""
    started = _started(pid)
    return None if started is None else Process(pid, started)


def lives(process: Process) -> bool:
    return _started(process.pid) == process.started


def _started(pid: int) -> int | None:
    """Fields 3 (state) and 22 (start time) of /proc/<pid>/stat; the name before them may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as told:  # noqa: PTH123 - asked for often: a Path costs as much
            fields = told.read(STAT_BYTES).decode(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in DEAD else int(fields[19])
