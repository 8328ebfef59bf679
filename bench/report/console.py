"""The face in a terminal: progress while a run goes on, a table at its end. Everything here goes to standard error but
the table, which is the result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from bench.judge.speedup import SpeedUp
from bench.judge.table import Row
from bench.measure import clock
from bench.measure.prepare import Prepared
from bench.records import Plan, PlannedTrial, Quality, TrialRecord

P99_REQUESTS = 368
"""Fewer requests than this bracket no p99 (95 % order-statistic interval): it is shown, marked as rough."""


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

    def prepared(self, name: str, outcome: Prepared) -> None:
        if outcome.failure:
            self._line(f"prepare {name}: {outcome.failure}")
        elif outcome.artifact and outcome.artifact.fresh:
            spent_s = sum(outcome.artifact.times_s.values())
            self._line(f"prepare {name}: built in {spent_s:.1f} s, {outcome.artifact.size_bytes / 1e6:.1f} MB")

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
        self._console.print(escape(text), soft_wrap=True)


def print_table(plan: Plan, rows: Sequence[Row]) -> None:
    """The result of a run, on standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=150)
    kind = "REHEARSAL, not a measurement: " if plan.rehearsal else ""
    title = f"{kind}{plan.workload}, {plan.scenario}, {plan.blocks} blocks on {plan.device}"
    table = Table(title=escape(title), title_justify="left", header_style="bold", pad_edge=False)
    table.add_column("partition")
    table.add_column("optimization")
    for name in (
        "tenants",
        "items/s",
        "p50 ms",
        "p99 ms",
        f"speed-up vs {plan.baseline}",
        "quality",
        "valid",
    ):
        table.add_column(name, justify="right")
    previous = None
    for row in rows:
        if previous not in (None, row.partition):
            table.add_section()
        table.add_row(
            escape(row.partition) if row.partition != previous else "",
            escape(row.optimization) + (f" (batch {row.batch_size})" if row.batch_size not in (None, 1) else ""),
            str(row.tenants),
            _number(row.throughput_per_s, "{:,.1f}"),
            _number(row.p50_ms, "{:.3f}"),
            ("~" if row.p99_requests < P99_REQUESTS and row.p99_ms else "") + _number(row.p99_ms, "{:.3f}"),
            "baseline" if row.optimization == plan.baseline else _speedup(row.speedup),
            _quality(row.quality, row.optimization == plan.baseline),
            f"{row.valid}/{row.planned}",
        )
        previous = row.partition
    console.print(table)
    for line in footnotes(plan, rows):
        console.print(escape(line), soft_wrap=True)


def footnotes(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """How to read the table, and all that is not in it with its reason."""
    lines = [
        f"speed-up: ratio of throughput in the same block against {plan.baseline} of the same partition, with its 95 % "
        "interval (paired t over blocks, no correction for looking at many).",
        f"~ fewer than {P99_REQUESTS} requests in a trial: a rough p99.",
    ]
    metrics = {row.quality.metric for row in rows if row.quality}
    if "accuracy" in metrics:
        items = next(row.quality.items for row in rows if row.quality)
        lines.append(f"quality: accuracy on {items} held-out items, difference to {plan.baseline} in points.")
    if "agreement" in metrics:
        items = next(row.quality.items for row in rows if row.quality)
        lines.append(
            f"quality: top-1 agreement with {plan.baseline} on {items} items. It is no accuracy: there are no labels."
        )
    if plan.protocol == "smoke":
        lines.append("protocol smoke: few short blocks; it shows that things run, its numbers decide nothing.")
    for row in rows:
        for reason, count in row.remarks:
            status, _, why = reason.partition(": ")
            such = f"e.g. {why}" if count > 1 else why
            lines.append(f"{row.partition} {row.optimization}: {count} of {row.measured} trials {status}: {such}")
    for item in plan.infeasible:
        what = " ".join(part for part in (item.partition, item.optimization) if part != "*") or "everything"
        lines.append(f"infeasible: {what}: {item.reason}")
    return lines


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
    sys.stderr.write(f"{text}\n")


def _number(value: float | None, form: str) -> str:
    return form.format(value) if value is not None else "-"


def _speedup(found: SpeedUp | None) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.estimate:.2f}x (1 pair)"
    return f"{found.estimate:.2f}x [{found.low:.2f}, {found.high:.2f}]"


def _quality(quality: Quality | None, is_baseline: bool) -> str:
    if quality is None:
        return "-"
    if quality.accuracy is None or quality.baseline_accuracy is None:
        return "baseline" if is_baseline else f"{quality.top1_agreement:.2%} agree"
    shown = f"{quality.accuracy:.2%}"
    return shown if is_baseline else f"{shown} ({100 * (quality.accuracy - quality.baseline_accuracy):+.2f})"
