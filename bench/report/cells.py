"""One partition x optimization in words: the same line in the terminal, in Markdown and in HTML."""

from __future__ import annotations

from dataclasses import dataclass

from bench.judge.table import Row
from bench.records import Plan
from bench.report import numbers


@dataclass(frozen=True)
class CellLine:
    """A row of the table of a run."""

    partition: str
    optimization: str
    tenants: str
    rate: str
    p50: str
    p99: str
    limit: str
    speed: str
    quality: str
    valid: str


def rate_title(plan: Plan) -> str:
    """The column of what the scenario measures."""
    return "start-up s" if plan.measures == "start_up" else "items/s"


def cell_line(row: Row, baseline: str) -> CellLine:
    """`baseline` is the run's: it is named as such, and nothing is compared with itself."""
    is_baseline = row.optimization == baseline
    batch = f" (batch {row.batch_size})" if row.batch_size not in (None, 1) else ""
    return CellLine(
        row.partition,
        row.optimization + batch,
        str(row.tenants),
        numbers.rate(row.start_up_s or row.throughput_per_s),
        numbers.ms(row.p50_ms),
        "too few" if row.p50_ms is not None and row.p99_ms is None else numbers.ms(row.p99_ms),
        numbers.of_ceiling(row.limit, row.host_bound),
        "baseline" if is_baseline else numbers.ratio(row.speedup),
        numbers.quality(row.quality, is_baseline),
        f"{row.valid}/{row.planned}",
    )
