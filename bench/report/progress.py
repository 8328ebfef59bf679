"""Progress of a run, on standard error: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from bench import clock
from bench.printable import printable
from bench.records import Plan, PlannedTrial, TrialRecord


class ProgressView:
    """Told by the conductor. A bar in a terminal, plain lines elsewhere. It is drawn when something happens and never
    by a timer: a bar that redraws itself would take CPU time from what is measured."""

    def __init__(self, plan: Plan, done: int) -> None:
        self._plan = plan
        self._done = done
        self._first_ns: int | None = None
        self._measured = 0
        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
            self._bar = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
            self._task = self._bar.add_task("", total=len(plan.trials), completed=done, left="")

    def __enter__(self) -> ProgressView:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def preparing(self, name: str, number: int, total: int) -> None:
        self._show(f"prepare {number}/{total} {name}")

    def built(self, name: str, spent_s: float, size_bytes: int) -> None:
        self._line(f"prepare {name}: built in {spent_s:.1f} s, {size_bytes / 1e6:.1f} MB")

    def not_built(self, name: str, reason: str) -> None:
        self._line(f"prepare {name}: {reason}")

    def started(self, planned: PlannedTrial) -> None:
        self._first_ns = self._first_ns or clock.now_ns()
        self._show(self._where(planned))

    def finished(self, record: TrialRecord) -> None:
        self._done += 1
        self._measured += 1
        if record.status != "ok":
            self._line(f"{record.id} {record.status}: {record.reason}")
        if not self._bar:
            rate = f"{record.throughput_per_s:.1f}/s" if record.throughput_per_s else record.status
            rate = f"{record.start_up_s:.3f} s" if record.start_up_s else rate
            cell = f"{record.partition} {record.optimization}"
            self._line(f"[{self._done}/{len(self._plan.trials)}] block {record.block} {cell}: {rate}{self._left()}")

    def _where(self, planned: PlannedTrial) -> str:
        place = f"block {planned.block}/{self._plan.blocks}, trial {self._done + 1}/{len(self._plan.trials)}"
        return f"{place}: {planned.partition} {planned.optimization}"

    def _left(self) -> str:
        """Remaining time from what this run's trials took so far."""
        if not self._first_ns or not self._measured:
            return ""
        each_s = clock.seconds(clock.now_ns() - self._first_ns) / self._measured
        return f", about {duration(each_s * (len(self._plan.trials) - self._done))} left"

    def _show(self, text: str) -> None:
        if self._bar:
            left = self._left().removeprefix(", ")
            self._bar.update(self._task, description=escape(text), completed=self._done, left=left, refresh=True)
        elif text.startswith("prepare"):
            self._line(text)

    def _line(self, text: str) -> None:
        self._console.print(escape(printable(text)), soft_wrap=True)


def duration(seconds: float) -> str:
    """For people: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def say(text: str) -> None:
    """One line for people, on standard error."""
    sys.stderr.write(f"{printable(text)}\n")
