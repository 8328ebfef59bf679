"""NVML calls of telemetry: each is timed, because what watching costs belongs to what was watched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from bench import clock
from bench.contract import Reading
from bench.devices.nvml import Session

LOOK_SHARE = 0.005
"""Share of the time that one rare look may take: the driver holds a lock meanwhile, which tenants wait for too."""


def instance(number: int) -> str:
    """Subject of a MIG GPU instance, by its id."""
    return f"gi{number}"


class Calls:
    """An NVML session whose calls are timed."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.pynvml = session.pynvml
        self._spent_ns: dict[str, int] = {}

    def ask(self, call: str, *arguments: Any) -> Any | None:
        """As `Session.ask`: None for what is not offered."""
        begun_ns = clock.now_ns()
        try:
            return self.session.ask(call, *arguments)
        finally:
            self._spent_ns[call] = max(self._spent_ns.get(call, 0), clock.now_ns() - begun_ns)

    def spent(self) -> Iterator[Reading]:
        """("nvml", "<call>_s", seconds) of each call made since this was asked last; the longest of several."""
        for call, spent_ns in self._spent_ns.items():
            yield "nvml", f"{call}_s", clock.seconds(spent_ns)
        self._spent_ns.clear()


class Part(Protocol):
    """Something that is read in every tick, or now and then."""

    def read(self) -> Iterator[Reading]: ...


class Rarely:
    """Parts that are read every `interval_s`, and more rarely where they take long (LOOK_SHARE).

    `first_s`: the first pause, which doubles until it is `interval_s`: so that a short window has readings too."""

    def __init__(self, interval_s: float, *parts: Part, first_s: float | None = None) -> None:
        self._parts = parts
        self._interval_s = interval_s
        self._pause_s = interval_s if first_s is None else first_s
        self._due_ns = 0

    def read(self) -> Iterator[Reading]:
        begun_ns = clock.now_ns()
        if begun_ns < self._due_ns:
            return
        for part in self._parts:
            yield from part.read()
        spent_s = clock.seconds(clock.now_ns() - begun_ns)
        self._due_ns = begun_ns + int(max(self._pause_s, spent_s / LOOK_SHARE) * clock.NS_PER_S)
        self._pause_s = min(2 * self._pause_s, self._interval_s)
