"""The 36 glyphs as strokes: our own vector alphabet, digits then capital letters.

A glyph is drawn in a box 4 wide and 6 high, y pointing down, and handed out as line segments around the box's
centre, with half its height as the unit. Some differ in one detail only (O, 0, Q; 1, I), as they do in print.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_DEGREES_PER_SEGMENT = 28.0


def _line(*points: tuple[float, float]) -> Floats:
    """A stroke through the points: (points, 2)."""
    return np.array(points, dtype=np.float32)


def _arc(x: float, y: float, radius_x: float, radius_y: float, start: float, end: float) -> Floats:
    """Part of an ellipse around (x, y): angles in degrees, 0 is right, 90 is down, 180 left, 270 up."""
    count = ceil(abs(end - start) / _DEGREES_PER_SEGMENT) + 1
    angle = np.deg2rad(np.linspace(start, end, count))
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1).astype(np.float32)


_STROKES: dict[str, list[Floats]] = {
    "0": [_arc(2, 3, 2, 3, 0, 360), _line((1, 4.4), (3, 1.6))],
    "1": [_line((0.7, 1.4), (2, 0), (2, 6)), _line((0.9, 6), (3.1, 6))],
    "2": [_arc(2, 1.7, 1.7, 1.7, 190, 395), _line((3.4, 2.7), (0.2, 6), (3.9, 6))],
    "3": [_arc(2, 1.6, 1.6, 1.6, 210, 450), _arc(2, 4.6, 1.8, 1.4, 270, 510)],
    "4": [_line((3, 6), (3, 0), (0, 4.2), (4, 4.2))],
    "5": [_line((3.6, 0), (0.6, 0), (0.5, 2.6)), _arc(1.9, 4, 1.9, 2, 225, 500)],
    "6": [_arc(2, 4.2, 1.8, 1.8, 0, 360), _arc(3.4, 4.2, 3.2, 4.2, 180, 265)],
    "7": [_line((0, 0), (4, 0), (1.4, 6))],
    "8": [_arc(2, 1.5, 1.5, 1.5, 0, 360), _arc(2, 4.5, 1.9, 1.5, 0, 360)],
    "9": [_arc(2, 1.8, 1.8, 1.8, 0, 360), _arc(0.6, 1.8, 3.2, 4.2, 0, 85)],
    "A": [_line((0, 6), (2, 0), (4, 6)), _line((0.8, 3.8), (3.2, 3.8))],
    "B": [
        _line((2, 2.9), (0, 2.9), (0, 0), (2, 0)),
        _arc(2, 1.45, 1.5, 1.45, 270, 450),
        _line((0, 2.9), (0, 6), (2, 6)),
        _arc(2, 4.45, 1.9, 1.55, 270, 450),
    ],
    "C": [_arc(2.2, 3, 2.2, 3, 50, 310)],
    "D": [_line((1.4, 6), (0, 6), (0, 0), (1.4, 0)), _arc(1.4, 3, 2.5, 3, 270, 450)],
    "E": [_line((3.9, 0), (0.3, 0), (0.3, 6), (3.9, 6)), _line((0.3, 3), (3, 3))],
    "F": [_line((3.9, 0), (0.3, 0), (0.3, 6)), _line((0.3, 3), (3, 3))],
    "G": [_arc(2.2, 3, 2.2, 3, 310, 35), _line((2.2, 3.4), (4, 3.4), (4, 4.8))],
    "H": [_line((0, 0), (0, 6)), _line((4, 0), (4, 6)), _line((0, 3), (4, 3))],
    "I": [_line((2, 0), (2, 6)), _line((0.9, 0), (3.1, 0)), _line((0.9, 6), (3.1, 6))],
    "J": [_line((1.6, 0), (3.3, 0), (3.3, 4.2)), _arc(1.7, 4.2, 1.6, 1.8, 0, 170)],
    "K": [_line((0, 0), (0, 6)), _line((3.8, 0), (0, 3.6)), _line((1.3, 2.4), (4, 6))],
    "L": [_line((0.2, 0), (0.2, 6), (3.8, 6))],
    "M": [_line((0, 6), (0, 0), (2, 3.6), (4, 0), (4, 6))],
    "N": [_line((0, 6), (0, 0), (4, 6), (4, 0))],
    "O": [_arc(2, 3, 2, 3, 0, 360)],
    "P": [
        _line((2, 3.2), (0, 3.2), (0, 0), (2, 0)),
        _line((0, 3.2), (0, 6)),
        _arc(2, 1.6, 1.8, 1.6, 270, 450),
    ],
    "Q": [_arc(2, 3, 2, 3, 0, 360), _line((2.3, 4.1), (4, 6.2))],
    "R": [
        _line((2, 3.2), (0, 3.2), (0, 0), (2, 0)),
        _line((0, 3.2), (0, 6)),
        _arc(2, 1.6, 1.8, 1.6, 270, 450),
        _line((1.8, 3.2), (4, 6)),
    ],
    "S": [_arc(2, 1.5, 1.7, 1.5, 330, 90), _arc(2, 4.5, 1.8, 1.5, 270, 510)],
    "T": [_line((0, 0), (4, 0)), _line((2, 0), (2, 6))],
    "U": [_line((0.1, 0), (0.1, 4)), _arc(2, 4, 1.9, 2, 180, 0), _line((3.9, 4), (3.9, 0))],
    "V": [_line((0, 0), (2, 6), (4, 0))],
    "W": [_line((0, 0), (1, 6), (2, 1.8), (3, 6), (4, 0))],
    "X": [_line((0, 0), (4, 6)), _line((4, 0), (0, 6))],
    "Y": [_line((0, 0), (2, 3), (4, 0)), _line((2, 3), (2, 6))],
    "Z": [_line((0, 0), (4, 0), (0, 6), (4, 6))],
}


def _segments(strokes: list[Floats]) -> Floats:
    """Start and end point of every segment: (segments, 4) as x0, y0, x1, y1."""
    pairs = [np.concatenate([stroke[:-1], stroke[1:]], axis=1) for stroke in strokes]
    centre = np.array([2, 3, 2, 3], dtype=np.float32)
    return (np.concatenate(pairs) - centre) / np.float32(3)


NAMES = "".join(_STROKES)
"""The glyph of each class, in the order of the labels."""

SEGMENTS = tuple(_segments(strokes) for strokes in _STROKES.values())
"""The segments of each class."""
