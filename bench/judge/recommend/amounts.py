"""Numbers of a recommendation in words."""

from __future__ import annotations

from bench.judge.recommend.figures import Figure
from bench.judge.recommend.need import Need
from bench.judge.recommend.values import GIB

RATE_DIGITS = 4
"""As every report shows items per second."""


def of(found: Figure, unit: str = "", digits: int = 3) -> str:
    """ "12.3 ms [11.8, 12.9]"."""
    low, high = number(found.low, digits), number(found.high, digits) if found.high < 1e15 else "?"
    return f"{number(found.estimate, digits)}{f' {unit}' if unit else ''} [{low}, {high}]"


def number(value: float, digits: int = 3) -> str:
    """With so many digits that mean something, more from a thousand on."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.{digits}g}"


def gib(size_bytes: float) -> str:
    return f"{number(size_bytes / GIB)} GiB"


def head_room(need: Need) -> str:
    return f"{100 * need.headroom:.3g} % head-room"
