"""Labels beside points, so that they cover neither each other nor the points. Greedy, and the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LETTER = 6.6
"""Width of a letter in the charts' 12 pixel text, on the wide side."""
LINE = 13.0
RADIUS = 7.0
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """Text at a point; placed, `x` and `y` are where the text begins, ends or is centred (`anchor`)."""

    text: str
    x: float
    y: float
    anchor: str = "start"


def placed(points: Sequence[Label], left: float, right: float, top: float, bottom: float) -> list[Label]:
    """Each beside its point where there is room; those that find none are left out (pointing at the mark tells)."""
    taken: list[Box] = [(p.x - RADIUS, p.y - RADIUS, p.x + RADIUS, p.y + RADIUS) for p in points]
    found = []
    for point in points:
        for label in _candidates(point):
            box = _box(label)
            inside = left <= box[0] and box[2] <= right + RADIUS and top - LINE <= box[1] and box[3] <= bottom
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                found.append(label)
                break
    return found


def _candidates(point: Label) -> list[Label]:
    """Above and below to either side, beside, then farther away: what lines join points mostly run beside them."""
    places = []
    for far in (0.0, LINE, 2 * LINE):
        for y in (point.y - RADIUS - 1 - far, point.y + RADIUS + LINE - 4 + far, point.y + 4):
            places.append(Label(point.text, point.x + RADIUS, y, "start"))
            places.append(Label(point.text, point.x - RADIUS, y, "end"))
    return places


def _box(label: Label) -> Box:
    width = LETTER * len(label.text)
    start = label.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * width
    return start, label.y - LINE + 3, start + width, label.y + 3


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
