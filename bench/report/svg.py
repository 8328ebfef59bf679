"""Just enough SVG: scales, nice ticks, escaped elements, and charts that a screen reader can announce.

Charts of one line use percentages for x, so that they fill a table cell of any width without stretching text; whole
charts have a view box. Colours are classes: the style sheet knows light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

MOST_TICKS = 12
STEPS = (1.0, 2.0, 5.0)
NARROW = 5.0
"""A logarithmic axis over less than this ratio gets linear ticks: 1-2-5 would leave it with one or none."""


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` onto positions from `start` to `end` (which may be smaller: y grows downwards)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(
        cls, values: Iterable[float], start: float, end: float, *, log: bool = False, margin: float = 0.06
    ) -> Scale:
        """Holds all finite values (of a logarithmic scale: all positive ones), with a margin on either side."""
        usable = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        low, high = (min(usable), max(usable)) if usable else (1.0, 1.0)
        if log:
            room = max(math.log(high / low) * margin, 0.02)
            return cls(low * math.exp(-room), high * math.exp(room), start, end, log)
        room = (high - low) * margin or max(abs(high) * 0.02, 1e-9)
        return cls(low - room, high + room, start, end, log)

    def __call__(self, value: float) -> float:
        """Where a value stands; beyond the ends, at the end."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value lies between the ends."""
        return self.low <= value <= self.high

    def ticks(self, count: int = 6) -> list[float]:
        """Round values inside, at most MOST_TICKS."""
        if self.log and self.high / self.low >= NARROW:
            return _log_ticks(self.low, self.high, count)
        return _linear_ticks(self.low, self.high, count)


def _linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, about `count` of them."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in STEPS if factor * power >= rough), 10 * power)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [number * step for number in range(first, last + 1)][:MOST_TICKS]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """1-2-5 of each power of ten; over many powers, only every so many of them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = last - first
    if powers * len(STEPS) <= 2 * count:
        wanted = [factor * 10.0**power for power in range(first, last + 1) for factor in STEPS]
    else:
        wanted = [10.0**power for power in range(first, last + 1, math.ceil((powers + 1) / count))]
    return [value for value in wanted if low <= value <= high][:MOST_TICKS]


def tick_text(value: float) -> str:
    """Short: 0.5, 20, 3k, 2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def tag(name: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """An element, everything in it escaped that is not Markup. `class_` is class, `stroke_width` is stroke-width."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{shown}>{inside}</{name}>" if inside else f"<{name}{shown}/>")


def chart(ident: str, width: int, height: int, title: str, description: str, *children: Markup) -> Markup:
    """A chart as one image with a name and a description."""
    return tag(
        "svg",
        tag("title", title, id=f"{ident}-title"),
        tag("desc", description, id=f"{ident}-desc"),
        *children,
        class_="chart",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=f"{ident}-title",
        aria_describedby=f"{ident}-desc",
    )


def line_chart(height: int, *children: Markup) -> Markup:
    """A chart of one line of a table; the numbers stand beside it, so a screen reader passes over it."""
    return tag("svg", *children, class_="line", width="100%", height=height, aria_hidden="true")


def mark(tip: str, *children: Markup) -> Markup:
    """Something that tells more when pointed at."""
    return tag("g", tag("title", tip), *children, class_="mark")


def percent(position: float) -> str:
    """A position between 0 and 100, for charts of one line."""
    return f"{position:.4g}%"


def axes(x: Scale, y: Scale, x_name: str, y_name: str, x_ticks: Iterable[float] | None = None) -> Markup:
    """Grid, ticks and names of a chart whose plot lies between the ends of the scales."""
    bottom, top, left, right = y.start, y.end, x.start, x.end
    parts = []
    for value in x.ticks() if x_ticks is None else x_ticks:
        at = x(value)
        parts.append(tag("line", x1=at, x2=at, y1=top, y2=bottom, class_="grid"))
        parts.append(tag("text", tick_text(value), x=at, y=bottom + 16, text_anchor="middle", class_="tick"))
    for value in y.ticks():
        at = y(value)
        parts.append(tag("line", x1=left, x2=right, y1=at, y2=at, class_="grid"))
        parts.append(tag("text", tick_text(value), x=left - 6, y=at + 4, text_anchor="end", class_="tick"))
    parts.append(tag("text", x_name, x=right, y=bottom + 34, text_anchor="end", class_="axis"))
    parts.append(tag("text", y_name, x=0, y=top - 10, class_="axis"))
    return Markup("").join(parts)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
