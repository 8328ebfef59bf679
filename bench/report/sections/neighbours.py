"""Neighbours: what they cost a victim, which division protects it, and what isolation costs. Tables and sentences that
every form of report lays out in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.judge.interference import MOST_DIVISIONS, Beside, Interference, Isolated, Mixed, Protection, Tail, Together
from bench.judge.speedup import SpeedUp
from bench.report import numbers

SLOWER = (
    "slower: time per item beside others over time alone in the same slot and block; where the interval holds 1, no "
    "difference is shown."
)
CAPTIONS = {
    "beside": "Slow-down: speed alone over speed beside, of the tenant in the first slot, on the same division and in "
    "the same blocks; 1 is no difference. Blocks are those in which both trials are valid: where others are missing "
    "because a victim answered too few requests, it was slowed down more than stands here. What the neighbours did "
    "themselves is shown and not judged.",
    "together": "All slots running the workload at once, against one tenant that has the device to itself. Jain's "
    "index: 1 is even, 1/n is one tenant taking all.",
    "protection": "Slow-down on the first division over slow-down on the second, beside the same neighbours: below 1 "
    f"the first protects its victim better. Of at most {MOST_DIVISIONS} divisions.",
    "isolated": "Speed of the same arrangement over its speed in plain processes.",
    "mixed": "Tenants that the partition names one by one: shown, and compared with nothing.",
}


@dataclass(frozen=True)
class Table:
    """Column names that end in a colon hold numbers. `part` is its key in CAPTIONS."""

    part: str
    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def caption(self) -> str:
        return CAPTIONS[self.part]


def tables(found: Interference) -> list[Table]:
    """Those that have rows."""
    all_tables = [
        Table(
            "beside",
            "What neighbours cost",
            (
                "division",
                "isolation",
                "optimization",
                "neighbours",
                "tenants:",
                "slow-down:",
                "blocks:",
                "p99 beside over alone:",
                "their requests/s:",
            ),
            [_beside(row) for row in found.beside],
        ),
        Table(
            "protection",
            "Which division protects its victim",
            ("neighbours", "isolation", "optimization", "division", "against", "ratio of slow-downs:", "blocks:"),
            [_protection(row) for row in found.protection],
        ),
        Table(
            "together",
            "All loaded at once",
            ("division", "isolation", "optimization", "tenants:", "against one full device:", "Jain:", "lowest share:"),
            [_together(row) for row in found.together],
        ),
        Table(
            "isolated",
            "What isolation costs",
            ("isolation", "division", "neighbours", "optimization", "speed against process:", "blocks:"),
            [_isolated(row) for row in found.isolated],
        ),
        Table(
            "mixed",
            "Tenants of several kinds",
            ("partition", "optimization", "items/s of the workload:", "requests/s of the others:"),
            [_mixed(row) for row in found.mixed],
        ),
    ]
    return [table for table in all_tables if table.rows]


def sentences(found: Interference) -> list[str]:
    """The same in words, one for each kind of neighbours; nothing of what no block tells."""
    known = [row for row in found.beside if row.slow_down]
    return [
        *(_cost(list(rows)) for _, rows in groupby(sorted(known, key=_kind), key=_kind)),
        *(_protects(row) for row in found.protection if row.ratio),
        *(_yields(row) for row in found.together if row.against_full),
        *(_costs(row) for row in found.isolated if row.ratio),
        *(_beside_others(row) for row in found.mixed),
    ]


# --- rows ---


def _beside(row: Beside) -> tuple[str, ...]:
    names = row.division, row.isolation, row.optimization, row.neighbours, str(row.tenants)
    each = numbers.rate(row.neighbours_per_s)
    return *names, numbers.ratio(row.slow_down), _pairs(row.slow_down), tail(row.p99), each


def tail(found: Tail) -> str:
    """How much longer p99 is, or that it has too few requests and how many it needs."""
    if found.fewest < found.needed:
        return f"too few ({found.fewest:,} of {found.needed:,})" if found.fewest else numbers.NONE
    return numbers.ratio(found.inflation)


def _together(row: Together) -> tuple[str, ...]:
    told = numbers.ratio(row.against_full)
    if row.against_full and row.full_isolation != row.isolation:
        told += f" ({row.full_isolation})"
    jain = numbers.NONE if row.jain is None else f"{row.jain:.3f}"
    lowest = numbers.NONE if row.lowest_share is None else f"{100 * row.lowest_share:.1f} %"
    return row.division, row.isolation, row.optimization, str(row.tenants), told, jain, lowest


def _protection(row: Protection) -> tuple[str, ...]:
    names = row.neighbours, row.isolation, row.optimization, row.division, row.other
    return *names, numbers.ratio(row.ratio), _pairs(row.ratio)


def _isolated(row: Isolated) -> tuple[str, ...]:
    names = row.isolation, row.division, row.neighbours, row.optimization
    return *names, numbers.ratio(row.ratio), _pairs(row.ratio)


def _mixed(row: Mixed) -> tuple[str, ...]:
    return row.partition, row.optimization, numbers.rate(row.workload_per_s), numbers.rate(row.neighbours_per_s)


def _pairs(found: SpeedUp | None) -> str:
    return str(found.pairs if found else 0)


# --- sentences ---


def _kind(row: Beside) -> tuple[str, str]:
    return row.optimization, row.neighbours


def _cost(rows: Sequence[Beside]) -> str:
    optimization, neighbours = _kind(rows[0])
    beside = "others like it" if neighbours == "same" else neighbours
    costs = [f"{row.slow_down} slower on {_place(row)}" for row in rows]
    told = f"{optimization} beside {beside} runs {', '.join(costs)}"
    tails = [f"{row.p99.inflation} on {_place(row)}" for row in rows if row.p99.inflation]
    return told + (f"; its p99 is longer by {', '.join(tails)}" if tails else "")


def _place(row: Beside | Together) -> str:
    return row.division if row.isolation == "process" else f"{row.division} in {row.isolation}"


def _protects(row: Protection) -> str:
    inside = "" if row.isolation == "process" else f" in {row.isolation}"
    return (
        f"{row.optimization} beside {row.neighbours}{inside} slows down {row.ratio} as much on {row.division} as on "
        f"{row.other}"
    )


def _yields(row: Together) -> str:
    even = "" if row.jain is None else f" (Jain {row.jain:.3f})"
    return (
        f"{row.optimization}: {numbers.counted(row.tenants, 'tenant')} on {_place(row)}, all loaded at once, yield "
        f"{row.against_full} of one full device{even}"
    )


def _costs(row: Isolated) -> str:
    beside = {"same": "", "alone": " alone"}.get(row.neighbours, f" beside {row.neighbours}")
    return f"{row.optimization} on {row.division}{beside}: {row.isolation} runs at {row.ratio} of process"


def _beside_others(row: Mixed) -> str:
    return (
        f"{row.optimization} on {row.partition}, tenants named one by one: {numbers.rate(row.workload_per_s)} items/s, "
        f"the others {numbers.rate(row.neighbours_per_s)} requests/s; compared with nothing"
    )
