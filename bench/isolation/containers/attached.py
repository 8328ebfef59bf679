"""The streams of a container: one socket of its engine, whose input is the container's stdin and whose output is cut
into frames of stdout and stderr. A thread blocks on it and feeds two pipes, so that whoever reads sees plain pipes.

The same thread sees which of tenant, monitor and engine ended first, and counts the tenant's out-of-memory kills while
its cgroup is still there.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Literal

from bench.isolation.containers.out_of_memory import OutOfMemory

HEADER = struct.Struct(">BxxxL")
"""Stream, length: of each frame."""
READ_BYTES = 1 << 16
HEAD_LIMIT_BYTES = 1 << 16
FRAME_LIMIT_BYTES = 1 << 26
"""Engines send some kilobytes at a time."""
GRACE_S = 1.0
"""From the end of the output to the end of the tenant, or the other way round, where nothing is wrong."""

Part = Literal["tenant", "monitor", "engine"]


class NotAttached(Exception):
    """The engine does not hand out the container's streams; the message says why."""


def attach(path: str, container: str, timeout_s: float) -> socket.socket:
    """The raw stream of a container that has not started yet. Raises NotAttached or OSError.

    By hand, because an HTTP library reads ahead and may keep what belongs to the stream."""
    query = "stdin=1&stdout=1&stderr=1&stream=1"
    head = f"POST /containers/{container}/attach?{query} HTTP/1.1\r\nHost: engine\r\nContent-Length: 0\r\n"
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(timeout_s)
        stream.connect(path)
        stream.sendall(f"{head}Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            byte = stream.recv(1)
            if not byte or len(answer) > HEAD_LIMIT_BYTES:
                raise NotAttached(f"the engine answered {_first_line(answer) or 'nothing'}")
            answer += byte
        status = answer.split(b"\r\n", 1)[0].split(b" ", 2)
        if status[1:2] not in ([b"101"], [b"200"]):
            raise NotAttached(f"the engine answered {_first_line(answer)}: {_message(stream.recv(READ_BYTES))}")
        stream.settimeout(None)
    except BaseException:
        stream.close()
        raise
    return stream


def _first_line(answer: bytes) -> str:
    return answer.split(b"\r\n", 1)[0][:200].decode(errors="backslashreplace")


def _message(body: bytes) -> str:
    """What an engine says of an error: {"message": ...}."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, TypeError, KeyError):
        return body[:200].decode(errors="backslashreplace")


class Attached:
    """Feeds the pipes from the time it is made until the stream ends or it is closed."""

    def __init__(self, stream: socket.socket, tenant_fd: int, monitor_fd: int, memory: OutOfMemory) -> None:
        """`tenant_fd` and `monitor_fd` are pidfds: readable once the process has ended."""
        self._stream = stream
        self._fds: dict[int, Part] = {tenant_fd: "tenant", monitor_fd: "monitor", stream.fileno(): "engine"}
        self._memory = memory
        self._buffer = bytearray()
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        self._sinks = {1: out, 2: err}
        self.ended_first: Part | None = None
        self.oom_kills = 0
        self._thread = threading.Thread(target=self._run, name="container streams", daemon=True)
        self._thread.start()

    @property
    def stdin(self) -> int:
        return self._stream.fileno()

    def settle(self, timeout_s: float) -> None:
        """Wait until the streams have ended, and it is known what ended first."""
        self._thread.join(timeout_s)

    def close(self) -> None:
        """End the thread; what nobody has read is lost."""
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        for fd in (self.stdout, self.stderr):  # a thread that blocks on a full pipe wakes by that
            os.close(fd)
        self._thread.join()
        self._stream.close()

    def _run(self) -> None:
        try:
            self._feed()
        except BrokenPipeError:
            pass  # nobody reads any more
        except (OSError, ValueError):
            self.ended_first = self.ended_first or "engine"  # what it sends is no stream of frames
        finally:
            for fd in self._sinks.values():
                os.close(fd)

    def _feed(self) -> None:
        poller = select.poll()
        for fd in self._fds:
            poller.register(fd, select.POLLIN)
        streaming, grace_ms = True, None
        while streaming or not self.ended_first:
            ended = [(fd, self._fds[fd]) for fd, _ in poller.poll(grace_ms)]
            if not ended:  # what was to follow has had its time
                self.ended_first = self.ended_first or "engine"
                return
            for fd, part in ended:
                if part != "engine":
                    self._note(part)
                elif self._take():
                    continue
                else:
                    streaming = False
                poller.unregister(fd)
                grace_ms = GRACE_S * 1000

    def _note(self, part: Part) -> None:
        if self.ended_first is None:
            self.ended_first = part
        if part == "tenant":
            self.oom_kills = self._memory.kills()

    def _take(self) -> bool:
        """Pass on what the stream has; False at its end. Raises ValueError for what is no frame."""
        try:
            data = self._stream.recv(READ_BYTES)
        except ConnectionError:
            return False
        if not data:
            return False
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if kind not in self._sinks or length > FRAME_LIMIT_BYTES:
                raise ValueError(f"a frame of stream {kind} and {length} bytes")
            if len(self._buffer) < HEADER.size + length:
                break
            frame = memoryview(bytes(self._buffer[HEADER.size : HEADER.size + length]))
            del self._buffer[: HEADER.size + length]
            while frame:
                frame = frame[os.write(self._sinks[kind], frame) :]
        return True
