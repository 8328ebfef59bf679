"""A tenant in a container, as the conductor has it: its streams, its process on this machine, and how it ended."""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from pathlib import Path

from bench.contract import Process, StartFailed
from bench.isolation.containers.attached import HEADER, Attached, NotAttached, attach
from bench.isolation.containers.engine import Engine, EngineFailed
from bench.isolation.containers.out_of_memory import OutOfMemory
from bench.isolation.containers.owner import parent

ATTACH_LIMIT_S = 30.0
STATUS_LIMIT_S = 5.0
"""For the engine to notice that a tenant has ended."""
MIB = 2**20


class ContainedProcess(Process):
    """Made from a container that exists and has not started: it is removed again if it cannot be."""

    def __init__(self, engine: Engine, container: str, memory_limit_bytes: int) -> None:
        self._engine = engine
        self._container = container
        self._memory_limit_bytes = memory_limit_bytes
        self._status: int | None = None
        self._fds: list[int] = []
        stream = None
        try:
            stream = attach(str(engine.socket), container, ATTACH_LIMIT_S)
            engine.start(container)
            self.pid = self._pid(stream)
            self._memory = OutOfMemory(self.pid)
            self._tenant = self._opened(self.pid)
            self._monitor = self._opened(parent(self.pid) or 0)
        except (EngineFailed, NotAttached, OSError) as error:
            for fd in self._fds:
                os.close(fd)
            if stream:
                stream.close()
            with suppress(EngineFailed):
                engine.remove(container)
            raise StartFailed(f"its container does not start: {error}") from error
        self._attached = Attached(stream, self._tenant, self._monitor, self._memory)

    def _opened(self, pid: int) -> int:
        """A pidfd: it tells when the process ends, and never means another one."""
        self._fds.append(os.pidfd_open(pid))
        return self._fds[-1]

    def _pid(self, stream: socket.socket) -> int:
        pid = int(self._engine.state(self._container).get("Pid") or 0)
        if pid and _is_first_in_its_namespace(pid):
            return pid
        status = self._engine.exit_status(self._container, STATUS_LIMIT_S)
        if status is None:
            raise EngineFailed(f"{self._engine} runs containers elsewhere: its process {pid} is none of this machine")
        stream.settimeout(1.0)
        words = b""
        with suppress(OSError):
            words = stream.recv(2048)[HEADER.size :]
        raise EngineFailed(
            f"it ended at once with status {status}; last words: {words.decode(errors='replace').strip() or 'none'}"
        )

    def fileno(self) -> tuple[int, int, int]:
        return self._attached.stdin, self._attached.stdout, self._attached.stderr

    def wait(self, timeout_s: float) -> int | None:
        """None also where it has ended and nobody knows how: its monitor or its engine ended before it."""
        poller = select.poll()
        poller.register(self._tenant, select.POLLIN)
        if not poller.poll(timeout_s * 1000):
            return None
        self._attached.settle(STATUS_LIMIT_S)
        if self._status is None and self._attached.ended_first == "tenant":
            self._status = self._engine.exit_status(self._container, STATUS_LIMIT_S)
        status = self._status
        # Engines tell a signal as a shell does.
        return 128 - status if status is not None and 128 < status <= 128 + signal.NSIG else status

    def cause(self) -> str | None:
        self._attached.settle(STATUS_LIMIT_S)
        status, ended = self.wait(0.0), self._attached.ended_first
        if status == -signal.SIGKILL and self._attached.oom_kills:
            return f"was killed for want of memory (limit {self._memory_limit_bytes // MIB} MiB)"
        if status is not None:
            return None
        # A tenant whose input has ended ends as well, so what came first need not be what is at fault.
        if not self._engine.answers():
            return f"lost its streams: {self._engine.kind} ended, or does not answer any more"
        if ended == "monitor" or self._has_ended(self._monitor):
            return "lost the process that watches its container (conmon, or a shim), and with it its streams"
        return f"lost its streams: {self._engine.kind} does not serve them any more" if ended == "engine" else None

    def _has_ended(self, pidfd: int) -> bool:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def end(self) -> None:
        # The first of its pid namespace takes all others with it, and no engine is needed for that.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._tenant, signal.SIGKILL)
        self._attached.close()
        with suppress(EngineFailed):  # what stays is removed when the run ends, or when the next one starts
            self._engine.revive()
            self._engine.remove(self._container)
        self._memory.close()
        for fd in self._fds:
            os.close(fd)


def _is_first_in_its_namespace(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    ids = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(ids) > 1 and ids[-1] == "1"
