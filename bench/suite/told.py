"""What a session of a suite tells at its end: the whole run, a line for each test."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from bench.judge.table import Row, rows
from bench.printable import printable
from bench.report.numbers import counted, ms, rate
from bench.stored import read_run

ENOUGH_BLOCKS = 3
"""Below this no interval says anything."""
DISTURBED = (
    "most trials are invalid: end other work (bench doctor says what spoils measurements here), then run the same again"
)


def lines(folder: Path) -> Iterator[str]:
    run = read_run(folder)
    found = rows(run.plan, run.trials)
    width = max((len(row.optimization) for row in found), default=0)
    for row in found:
        yield printable(_line(row, width))
        yield from (printable(f"  {count} of {row.measured} {reason}") for reason, count in row.remarks)
    invalid = [trial for trial in run.trials if trial.status == "invalid"]
    if 2 * len(invalid) > len(run.trials):
        yield DISTURBED
    blocks = len({trial.block for trial in run.trials})
    yield printable(f"{counted(blocks, 'block')} of protocol {run.plan.protocol}, on {run.plan.device}")
    yield printable(f"stored in {folder}; next: {shlex.join(['bench', 'report', str(folder)])}")
    if blocks < ENOUGH_BLOCKS:
        yield "so few blocks decide nothing: --bench-blocks=10 measures in as many fresh processes"


def _line(row: Row, width: int) -> str:
    measured = f"{rate(row.throughput_per_s)} items/s   p50 {ms(row.p50_ms)} ms" if row.valid else "no valid trial"
    return f"{row.optimization:<{width}}   {measured}   valid {row.valid}/{row.planned}"
