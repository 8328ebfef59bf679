"""Tenants as plain processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import pydantic

from bench.contract import Isolation, Launcher, Process, Slot, plugin
from bench.isolation import confine

VERSION = "BENCH_EXPECTED_VERSION"
"""What a child is to look for (versions/arrived.py): never what somebody has set around us."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@plugin
class Processes(Isolation, Launcher):
    """Each tenant is a process in a session of its own. `memory_limit_bytes` limits its private writable memory."""

    memory_limit_bytes: Annotated[int, pydantic.Field(ge=64 * 2**20)] | None = None
    preheated: bool = False
    base_of: str | None = None

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        yield self

    def confinement(self, slot: Slot) -> dict[str, Any]:
        return {"cpus": list(slot.cpus), "memory_limit_bytes": self.memory_limit_bytes}

    def start(
        self, arguments: Sequence[str], slot: Slot, environment: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Process:
        return start_process(sys.executable, arguments, slot, environment, self.memory_limit_bytes)


def start_process(
    python: str,
    arguments: Sequence[str],
    slot: Slot,
    environment: Mapping[str, str],
    memory_limit_bytes: int | None = None,
) -> Process:
    """Start `python -m <arguments>` inside the slot, as a child that confines itself."""
    inherited = {name: value for name, value in os.environ.items() if name != VERSION}
    env = {**inherited, **environment, **slot.env}
    env.update(dict.fromkeys(THREAD_VARIABLES, str(slot.threads)))
    env[confine.CONDUCTOR_PID] = str(os.getpid())
    if slot.cpus:
        env[confine.CPUS] = ",".join(map(str, slot.cpus))
    if memory_limit_bytes:
        env[confine.MEMORY_LIMIT_BYTES] = str(memory_limit_bytes)
    return ChildProcess([python, "-P", "-m", *arguments], env)


class ChildProcess(Process):
    """A child with three pipes. It leads a session, so that Ctrl-C reaches the conductor alone."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.pid = self._popen.pid

    def fileno(self) -> tuple[int, int, int]:
        popen = self._popen
        assert popen.stdin and popen.stdout and popen.stderr
        return popen.stdin.fileno(), popen.stdout.fileno(), popen.stderr.fileno()

    def wait(self, timeout_s: float) -> int | None:
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        # The group outlives its leader when the tenant has started processes of its own.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream:
                stream.close()
