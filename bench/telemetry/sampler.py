"""The telemetry process: reads all sources at a fixed interval while a trial runs. `python -m bench.telemetry.sampler`

One sampler serves a whole run. Per trial it hears `open` (which tenants), ticks until `close`, and answers with a
table of ticks on the clock that tenants stamp their requests with, and with what the sampling itself cost.
"""

from __future__ import annotations

from bench.isolation.confine import confine_from_environment

if __name__ == "__main__":
    confine_from_environment()

import gc
import json
import os
import select
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench import clock, wire
from bench.contract import GpuAddress, TelemetrySource, Watched
from bench.instantiate import instantiate

MAX_TICKS = 1_000_000


class Trial:
    """The ticks of one trial, as columns: one list of values per (subject, metric), as long as `t_ns`."""

    def __init__(
        self, sources: Sequence[TelemetrySource], tenants: Mapping[str, Watched], board: GpuAddress | None
    ) -> None:
        self._readers = []
        self.problems: set[str] = set()
        for source in sources:
            try:
                self._readers.append(source.open(tenants, board))
            except Exception as error:  # a source that cannot start costs its own readings, not the others'
                self.problems.add(told(source, error))
        self._start_cpu_ns = clock.cpu_ns()
        self.t_ns: list[int] = []
        self.read_ns: list[int] = []
        self.missed = 0
        self.columns: dict[tuple[str, str], list[float | None]] = {}

    def tick(self) -> None:
        start_ns = clock.now_ns()
        row = len(self.t_ns)
        for reader in self._readers:
            try:
                for subject, metric, value in reader.read():
                    column = self.columns.setdefault((subject, metric), [])
                    column.extend([None] * (row - len(column)))
                    column[row:] = [float(value)]  # read twice in one tick, the last one counts
            except Exception as error:  # whatever a source does, the others go on and the trial is told
                self.problems.add(told(reader, error))
        self.t_ns.append(start_ns)
        self.read_ns.append(clock.now_ns() - start_ns)

    def close(self) -> None:
        for reader in self._readers:
            try:
                reader.close()
            except Exception as error:
                self.problems.add(told(reader, error))

    def report(self) -> dict[str, Any]:
        rows = len(self.t_ns)
        return {
            "t_ns": self.t_ns,
            "read_ns": self.read_ns,
            "missed": self.missed,
            "cpu_s": clock.seconds(clock.cpu_ns() - self._start_cpu_ns),
            "problems": sorted(self.problems),
            "columns": [
                {"subject": subject, "metric": metric, "values": values + [None] * (rows - len(values))}
                for (subject, metric), values in self.columns.items()
            ],
        }


def told(source: object, error: Exception) -> str:
    return f"{type(source).__name__}: {type(error).__name__}: {error}"


def main() -> None:
    channel = wire.Channel()
    setup = channel.receive()
    if setup is None:
        return
    sources = [instantiate(node, TelemetrySource, f"telemetry.{name}") for name, node in setup["sources"].items()]
    interval_ns = int(setup["interval_s"] * clock.NS_PER_S)
    gc.disable()  # nothing here makes cycles worth a pause
    channel.send("listening")
    while (request := channel.receive()) is not None:
        tenants = {name: Watched(**tenant) for name, tenant in request["tenants"].items()}
        trial = Trial(sources, tenants, GpuAddress(**request["board"]) if request["board"] else None)
        trial.tick()
        channel.send("opened")
        _tick_until_told(trial, interval_ns)
        if channel.receive() is None:
            return
        trial.tick()
        trial.close()
        channel.send("closed", **trial.report())


def _tick_until_told(trial: Trial, interval_ns: int) -> None:
    """Tick on a fixed grid until a line waits on standard input. A tick that comes too late is counted, not made up."""
    next_ns = clock.now_ns() + interval_ns
    while len(trial.t_ns) < MAX_TICKS:
        timeout_s = max(0.0, clock.seconds(next_ns - clock.now_ns()))
        if select.select([0], [], [], timeout_s)[0]:
            return
        trial.tick()
        next_ns += interval_ns
        while next_ns <= clock.now_ns():
            trial.missed += 1
            next_ns += interval_ns


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, json.JSONDecodeError) as error:
        print(f"telemetry: {error}", file=sys.stderr)  # noqa: T201 - its standard error is its log
        os._exit(1)
