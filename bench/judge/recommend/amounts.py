"""Numbers of a recommendation in words."""

from __future__ import annotations

from bench.judge.recommend.figures import Figure
from bench.judge.recommend.need import Need
from bench.judge.recommend.values import GIB


def of(found: Figure, unit: str = "") -> str:
    """ "12.3 ms [11.8, 12.9]"."""
    low, high = number(found.low), number(found.high) if found.high < 1e15 else "?"
    return f"{number(found.estimate)}{f' {unit}' if unit else ''} [{low}, {high}]"


def number(value: float) -> str:
    """With three digits that mean something, more from a thousand on."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def gib(size_bytes: float) -> str:
    return f"{number(size_bytes / GIB)} GiB"


def head_room(need: Need) -> str:
    return f"{100 * need.headroom:.3g} % head-room"
