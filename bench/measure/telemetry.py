"""The conductor's handle on the telemetry process. Its loss never ends a run: the trial says so, and the next one
starts a new process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import clock
from bench.contract import GpuAddress, Launcher, Slot, Watched
from bench.measure.link import ChildFailed, Link, await_events

ANSWER_LIMIT_S = 10.0


@dataclass
class Ticks:
    """A trial's ticks, filled when the trial's context ends. `problem` says why they are missing or partial."""

    report: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


class Telemetry:
    """One sampler for a whole run."""

    def __init__(
        self,
        launcher: Launcher,
        sources: Mapping[str, Mapping[str, Any]],
        interval_s: float,
        environment: Mapping[str, str],
        board: GpuAddress | None = None,
    ) -> None:
        self.interval_s = interval_s
        self._launcher = launcher
        self._sources = sources
        self._environment = environment
        self._board = board
        self._link: Link | None = None

    def __enter__(self) -> Telemetry:
        """Start the process now: tenants that are warm must not wait for it to import."""
        if self._sources:
            with suppress(ChildFailed):  # the first trial tries again, and tells
                self._started()
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    @contextmanager
    def trial(self, tenants: Mapping[str, Watched]) -> Iterator[Ticks]:
        """Sample these tenants while the context lasts."""
        ticks = Ticks()
        if not self._sources:
            yield ticks
            return
        try:
            told = {name: asdict(tenant) for name, tenant in tenants.items()}
            board = asdict(self._board) if self._board else None
            self._ask(ticks, "opened", do="open", tenants=told, board=board)
            yield ticks
        finally:
            if ticks.problem is None:
                ticks.report = self._ask(ticks, "closed", do="close")
                problems = ticks.report.get("problems")
                if problems:
                    ticks.problem = "; ".join(problems)

    def _ask(self, ticks: Ticks, event: str, **message: Any) -> dict[str, Any]:
        try:
            link = self._link or self._started()
            link.send(**message)
            return await_events([link], event, _deadline_ns())[0]
        except ChildFailed as error:
            self._drop()
            ticks.problem = error.reason
            return {}

    def _started(self) -> Link:
        slot = Slot(index=0, threads=1)
        process = self._launcher.start(["bench.telemetry.sampler"], slot, self._environment)
        link = self._link = Link(process, "the telemetry process")
        link.send(sources=self._sources, interval_s=self.interval_s)
        try:
            await_events([link], "listening", _deadline_ns())
        except ChildFailed:
            self._drop()
            raise
        return link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.end()
            self._link = None


def _deadline_ns() -> int:
    return clock.now_ns() + int(ANSWER_LIMIT_S * clock.NS_PER_S)
