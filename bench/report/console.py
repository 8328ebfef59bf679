"""A run as a table in the terminal: the result, on standard output."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from bench.judge.table import Row
from bench.judge.tails import needed
from bench.judge.untold import untold
from bench.printable import printable
from bench.records import Plan
from bench.report.cells import cell_line, rate_title
from bench.report.numbers import counted

LEAST_WIDTH = 160


class _Output(Console):
    """rich ends the process with 1 when its reader has gone, which would read as a failed gate."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def result_console() -> Console:
    """Standard output, never narrower than a table needs: a wrapped line can be read, a cut number cannot."""
    console = _Output(highlight=False)
    if not console.is_terminal or console.width < LEAST_WIDTH:
        console = _Output(highlight=False, width=LEAST_WIDTH)
    return console


def escape(text: str) -> str:
    """Text as it is: neither markup of rich nor control codes of the terminal work in it."""
    return escape_markup(printable(text))


def print_table(plan: Plan, rows: Sequence[Row]) -> None:
    """The result of a run, on standard output."""
    console = result_console()
    kind = "REHEARSAL, not a measurement: " if plan.rehearsal else ""
    times = counted(plan.blocks, "repetition") if plan.imported else f"{plan.blocks} blocks"
    title = f"{kind}{plan.workload}, {plan.scenario}, {times} on {plan.device}"
    console.print(escape(title), soft_wrap=True)
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    table.add_column("partition")
    table.add_column("optimization")
    for name in (
        "tenants",
        rate_title(plan),
        "p50 ms",
        "p99 ms",
        "of ceiling",
        f"speed-up vs {plan.baseline}" if _has_baseline(plan, rows) else "speed-up",
        "quality",
        "valid",
    ):
        table.add_column(name, justify="right")
    previous = None
    for row in rows:
        if previous not in (None, row.partition):
            table.add_section()
        line = cell_line(row, plan.baseline)
        partition = line.partition if row.partition != previous else ""
        cells = (partition, *list(dataclasses.astuple(line))[1:])
        table.add_row(*(escape(cell) for cell in cells))
        previous = row.partition
    console.print(table)
    for note in footnotes(plan, rows):
        console.print(escape(note), soft_wrap=True)


def footnotes(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """How to read the table, and all that is not in it with its reason."""
    lines = [_speed_ups(plan, _has_baseline(plan, rows))]
    lines += [f"*.{base}: the version that the same without {base} is compared with." for base in plan.against]
    if plan.measures == "start_up":
        lines.append("start-up: seconds from creating the first tenant until the last has answered once.")
    if few := [row.p99_requests for row in rows if row.p50_ms is not None and row.p99_ms is None]:
        so_many = "" if plan.imported else "; protocol=publish takes that many"
        lines.append(
            f"too few: a p99 needs {needed('p99')} requests in each process, and there were {_from_to(few)}{so_many}."
        )
    if any(row.limit for row in rows):
        lines.append(
            "of ceiling: operations per second, as a share of what large matrix products reach in that precision (on a "
            "CPU: one thread's rate times the threads; of several tenants the mean, each of its whole slot); "
            "memory: bytes per second, of its bandwidth. The nearer limit."
        )
    if any(row.host_bound for row in rows):
        lines.append("host-bound: the GPU waited for the host to queue its work; what is faster there launches faster.")
    metrics = {row.quality.metric for row in rows if row.quality}
    if "accuracy" in metrics:
        items = next(row.quality.items for row in rows if row.quality)
        lines.append(f"quality: accuracy on {items} held-out items, difference to {plan.baseline} in points.")
    if "agreement" in metrics:
        items = next(row.quality.items for row in rows if row.quality)
        lines.append(
            f"quality: top-1 agreement with {plan.baseline} on {items} items. It is no accuracy: there are no labels."
        )
    if plan.imported:
        lines.append(untold(plan.imported))
    elif plan.look_level is None:
        lines.append(f"protocol {plan.protocol}: it shows that things run, its numbers decide nothing.")
    for row in rows:
        for reason, count in row.remarks:
            status, _, why = reason.partition(": ")
            such = f"e.g. {why}" if count > 1 else why
            lines.append(f"{row.partition} {row.optimization}: {count} of {row.measured} trials {status}: {such}")
    for item in plan.infeasible:
        lines.append(f"infeasible: {item}")
    return lines


def _has_baseline(plan: Plan, rows: Sequence[Row]) -> bool:
    return any(row.optimization == plan.baseline for row in rows)


def _from_to(counts: Sequence[int]) -> str:
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _speed_ups(plan: Plan, has_baseline: bool) -> str:
    """What they are, and whether there are intervals: where another tool measured the two apart there are none."""
    if not has_baseline:
        how = f": of what another tool measured it is the cell called {plan.baseline}" if plan.imported else ""
        return f"speed-up: none, for this run has no baseline{how}."
    if plan.imported:
        return (
            f"speed-up: ratio of throughput against {plan.baseline} of the same partition; without an interval, "
            "because the two were measured apart."
        )
    speed = "start-up times (above 1 is faster)" if plan.measures == "start_up" else "throughput"
    return (
        f"speed-up: ratio of {speed} in the same block against {plan.baseline} of the same partition, with its 95 % "
        "interval (paired t over blocks, no correction for looking at many)."
    )
