"""Frames of an engine become the bytes of two pipes, however they are cut; and who ended first is told."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.isolation.containers.attached import HEADER, Attached
from bench.isolation.containers.out_of_memory import OutOfMemory, events_file


@dataclass
class Conversation:
    """Both ends, with processes that stand for a tenant and what watches it."""

    engine: socket.socket
    attached: Attached
    tenant: subprocess.Popen[bytes]
    monitor: subprocess.Popen[bytes]

    def read(self) -> tuple[bytes, bytes]:
        self.attached.settle(20)
        return read(self.attached.stdout), read(self.attached.stderr)


def read(fd: int) -> bytes:
    found = b""
    while data := os.read(fd, 65536):
        found += data
    return found


@contextmanager
def conversation() -> Iterator[Conversation]:
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    fds = [os.pidfd_open(process.pid) for process in processes]
    ours, theirs = socket.socketpair()
    memory = OutOfMemory(processes[0].pid)
    attached = Attached(ours, *fds, memory)
    try:
        yield Conversation(theirs, attached, *processes)
    finally:
        theirs.close()
        attached.close()
        memory.close()
        for process, fd in zip(processes, fds, strict=True):
            process.kill()
            process.wait()
            os.close(fd)


def frame(kind: int, data: bytes) -> bytes:
    return HEADER.pack(kind, len(data)) + data


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=20), st.integers(1, 400))
def test_frames_arrive_however_they_are_cut(frames: list[tuple[int, bytes]], piece: int) -> None:
    content = b"".join(frame(kind, data) for kind, data in frames)
    with conversation() as talk:
        for start in range(0, len(content), piece):
            talk.engine.sendall(content[start : start + piece])
        talk.tenant.kill()
        talk.engine.shutdown(socket.SHUT_RDWR)
        assert talk.read() == tuple(b"".join(data for kind, data in frames if kind == wanted) for wanted in (1, 2))
        assert talk.attached.ended_first in ("tenant", "engine")


@pytest.mark.parametrize("who", ["tenant", "monitor", "engine"])
def test_who_ended_first_is_told(who: str) -> None:
    with conversation() as talk:
        talk.engine.sendall(frame(1, b"words"))
        if who == "engine":
            talk.engine.close()
        else:
            getattr(talk, who).kill()
        assert talk.read() == (b"words", b"")
        assert talk.attached.ended_first == who


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 500 Oh\r\n\r\n", frame(3, b"x"), HEADER.pack(1, 2**32 - 1)])
def test_what_is_no_stream_of_frames_ends_it(garbage: bytes) -> None:
    with conversation() as talk:
        talk.engine.sendall(frame(1, b"words") + garbage)
        assert talk.read() == (b"words", b"")
        assert talk.attached.ended_first == "engine"


def test_what_is_written_reaches_the_engine() -> None:
    with conversation() as talk:
        os.write(talk.attached.stdin, b"a line\n")
        assert talk.engine.recv(100) == b"a line\n"


def test_a_reader_that_has_gone_does_not_keep_it() -> None:
    """Closing ends the thread, though more is in the pipe than it holds."""
    with conversation() as talk:
        talk.engine.sendall(frame(1, bytes(2**17)))
    assert not talk.attached._thread.is_alive()


@pytest.mark.parametrize(
    ("cgroups", "path"),
    [
        ("9:name=systemd:/\n4:memory:/a/b\n0::/c\n", "/sys/fs/cgroup/memory/a/b/memory.oom_control"),
        ("0::/user.slice/x\n", "/sys/fs/cgroup/user.slice/x/memory.events"),
        ("3:cpu,cpuacct:/x\n", None),
        ("", None),
    ],
)
def test_where_the_kernel_counts(cgroups: str, path: str | None) -> None:
    found = events_file(cgroups)
    assert (str(found) if found else None) == path


def test_nothing_is_spent_while_nobody_speaks() -> None:
    """The thread blocks: it is not woken by time."""
    with conversation() as talk:
        status = Path(f"/proc/self/task/{talk.attached._thread.native_id}/status")

        def switches() -> int:
            lines = status.read_text().splitlines()
            return int(next(line for line in lines if line.startswith("voluntary")).split()[1])

        before = switches()
        time.sleep(0.5)
        assert switches() - before <= 1
