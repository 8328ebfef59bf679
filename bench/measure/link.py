"""The conductor's end of the wire: waits for children by blocking on their pipes, never by polling in a loop."""

from __future__ import annotations

import json
import os
import selectors
from collections.abc import Mapping, Sequence
from typing import Any

from bench.clock import NS_PER_S, now_ns
from bench.contract import Process
from bench.wire import encode

LINE_LIMIT_BYTES = 512 * 2**20
LAST_WORDS_BYTES = 4096
TOLD_LENGTH = 2000
"""Characters of what a child says of its own failure: a reason is stored in a trial's line."""
READ_BYTES = 1 << 16


class ChildFailed(Exception):
    """A child died, hung, or spoke something else than the protocol. `reason` says which, with its last words;
    `told` is what it said itself when it gave up."""

    def __init__(self, reason: str, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.told = told or {}


class Link:
    """One child: `name` is what users call it, `begun_ns` when somebody began to start it."""

    def __init__(self, process: Process, name: str, begun_ns: int = 0) -> None:
        self.process = process
        self.name = name
        self.begun_ns = begun_ns
        self._stdin, self._stdout, self._stderr = process.fileno()
        for fd in (self._stdout, self._stderr):
            os.set_blocking(fd, False)
        self._pending = bytearray()
        self._words = bytearray()
        self.events: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        """Send a request. A child that is gone shows when its answer is awaited, with its exit status."""
        view = memoryview(encode(message))
        try:
            while view:
                view = view[os.write(self._stdin, view) :]
        except ConnectionError:
            pass

    def descriptors(self) -> tuple[int, int]:
        return self._stdout, self._stderr

    def take(self, fd: int) -> bool:
        """Read what `fd` has; False at its end."""
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        if fd == self._stderr:
            self._words = (self._words + data)[-LAST_WORDS_BYTES:]
            return True
        # Searching only what is new keeps a long line (samples) linear.
        start = len(self._pending)
        self._pending += data
        while (end := self._pending.find(b"\n", start)) >= 0:
            self.events.append(self._parse(bytes(self._pending[:end])))
            del self._pending[: end + 1]
            start = 0
        if len(self._pending) > LINE_LIMIT_BYTES:
            raise ChildFailed(f"{self.name} sent a line of more than {LINE_LIMIT_BYTES} bytes")
        return True

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            event = json.loads(line)
            if b"\\ud" in line.lower() or not line.isascii():
                # A half of a pair of surrogates is a string to Python, and to nobody who is to store it.
                event = json.loads(json.dumps(event, ensure_ascii=False).encode(errors="replace"))
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            shown = line[:200].decode(errors="backslashreplace")
            raise ChildFailed(f"{self.name} sent something that is not the protocol: {shown!r}")
        if event["event"] == "failed":
            raise ChildFailed(f"{self.name}: {str(event.get('what'))[:TOLD_LENGTH]}", event)
        return event

    def last_words(self) -> str:
        """The end of its standard error, on one line."""
        lines = self._words.decode(errors="replace").strip().splitlines()
        return " | ".join(line.strip() for line in lines[-4:] if line.strip())

    def obituary(self) -> str:
        """How it ended, after its pipes have closed."""
        status = self.process.wait(5.0)
        how = self.process.cause() or (
            "closed its output"
            if status is None
            else f"was killed by signal {-status}"
            if status < 0
            else (f"exited with status {status}")
        )
        words = self.last_words()
        return f"{self.name} {how}" + (f"; last words: {words}" if words else "; it left no words")

    def end(self) -> None:
        """Kill it: what it had to say has been said, and an orderly exit of torch takes longer than a window."""
        self.process.end()


def await_events(links: Sequence[Link], event: str, deadline_ns: int) -> list[dict[str, Any]]:
    """Block until every link has sent `event`; in the links' order. Other events before it are dropped.

    Raises ChildFailed as soon as one link dies or speaks nonsense, or when the deadline passes.
    """
    found: dict[str, dict[str, Any]] = {}
    with selectors.DefaultSelector() as selector:
        for link in links:
            for fd in link.descriptors():
                selector.register(fd, selectors.EVENT_READ, link)
        while True:
            for link in links:
                while link.events and link.name not in found:
                    candidate = link.events.pop(0)
                    if candidate["event"] == event:
                        found[link.name] = candidate
            if len(found) == len(links):
                return [found[link.name] for link in links]
            left_s = (deadline_ns - now_ns()) / NS_PER_S
            ready = selector.select(left_s) if left_s > 0 else []
            if not ready:
                late = [link for link in links if link.name not in found]
                words = late[0].last_words()
                raise ChildFailed(
                    f"{', '.join(link.name for link in late)} did not answer {event!r} within its limit"
                    + (f"; last words: {words}" if words else "")
                )
            for key, _ in ready:
                link = key.data
                if not link.take(key.fd):
                    selector.unregister(key.fd)
                    if key.fd == link.descriptors()[0] and link.name not in found:
                        _drain(link)
                        raise ChildFailed(link.obituary())


def _drain(link: Link) -> None:
    """What a dead child still had to say. Its pipe may be held open by its own children: then only what is there."""
    link.process.wait(1.0)
    fd = link.descriptors()[1]
    for _ in range(64):
        try:
            data = os.read(fd, READ_BYTES)
        except (BlockingIOError, OSError):
            return
        if not data:
            return
        link._words = (link._words + data)[-LAST_WORDS_BYTES:]
