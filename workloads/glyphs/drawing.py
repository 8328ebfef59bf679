"""Draws the images: every one is computed from a seed, so there is no data set to download or to keep.

An image is the distance from each pixel to the strokes of its glyph, turned into antialiased ink. The pixels'
coordinates are bent and turned instead of the strokes: the strokes then stay constants that all images of a
class share, and 10,000 images take about a second on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workloads.glyphs.alphabet import NAMES, SEGMENTS

Floats = npt.NDArray[np.float32]
Vary = Callable[[tuple[float, float]], Floats]

VERSION = 1
"""Of everything that changes a pixel. Raise it with any such change, and train new weights."""

CLASSES = len(NAMES)
SIDE_PX = 32

TRAINING, EVALUATION, CALIBRATION, REQUESTS = 1, 2, 3, 4
"""Streams of random numbers: images of different streams have no seed in common, whatever the seeds are."""

_CHUNK = 64  # images drawn at once: the work arrays stay in the second-level cache


@dataclass(frozen=True)
class Ranges:
    """Least and greatest value of what varies from image to image; it varies uniformly. Tuned so that the
    network errs on one to three images in a hundred: fewer would hide what an optimization costs."""

    height_px: tuple[float, float] = (13.0, 25.0)
    slimness: tuple[float, float] = (0.75, 1.3)
    turn_degrees: tuple[float, float] = (-20.0, 20.0)
    shear: tuple[float, float] = (-0.35, 0.35)
    shift_px: tuple[float, float] = (-3.5, 3.5)
    bend_px: tuple[float, float] = (0.0, 1.4)
    bend_wave_px: tuple[float, float] = (18.0, 40.0)
    stroke_px: tuple[float, float] = (1.4, 3.8)
    contrast: tuple[float, float] = (0.25, 0.8)
    gradient: tuple[float, float] = (-0.3, 0.3)
    noise: tuple[float, float] = (0.02, 0.16)
    patch_px: tuple[float, float] = (0.0, 9.0)


RANGES = Ranges()


def draw(count: int, stream: int, seed: int, part: int = 0) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Images (count, 1, 32, 32) in [0, 1] and labels (count,), equally many of each class (within one)."""
    random = np.random.default_rng([stream, seed, part])
    labels = random.permutation(np.arange(count) % CLASSES)
    images = np.empty((count, SIDE_PX, SIDE_PX), dtype=np.float32)
    # Sorted by class, so that a whole chunk is measured against the same strokes.
    for label in range(CLASSES):
        (members,) = np.nonzero(labels == label)
        for start in range(0, len(members), _CHUNK):
            chosen = members[start : start + _CHUNK]
            images[chosen] = _draw_class(len(chosen), SEGMENTS[label], random)
    return images[:, None], labels.astype(np.int64)


def _draw_class(count: int, segments: Floats, random: np.random.Generator) -> Floats:
    """Images (count, 32, 32) of one glyph."""

    def vary(bounds: tuple[float, float]) -> Floats:
        return random.uniform(*bounds, size=(count, 1, 1)).astype(np.float32)

    across = np.arange(SIDE_PX, dtype=np.float32) - np.float32((SIDE_PX - 1) / 2)
    x_px, y_px = across[None, None, :], across[None, :, None]
    unit_px = vary(RANGES.height_px) / np.float32(2)
    x, y = _glyph_coordinates(x_px, y_px, unit_px, vary)
    distance_px = _distance(x, y, segments) * unit_px
    ink = np.clip(vary(RANGES.stroke_px) / 2 + np.float32(0.5) - distance_px, 0, 1)

    # Ink may be darker or lighter than its background; the middle grey leaves room for both.
    contrast = vary(RANGES.contrast)
    sign = np.where(vary((0, 1)) < 0.5, np.float32(-1), np.float32(1))
    middle = contrast / 2 + (1 - contrast) * vary((0, 1))
    tilt = (x_px * vary(RANGES.gradient) + y_px * vary(RANGES.gradient)) / SIDE_PX
    image = middle + tilt + sign * contrast * (ink - np.float32(0.5))

    # A patch of an even grey hides a part; its centre may lie outside, and it may be too small to matter.
    half = vary(RANGES.patch_px) / 2
    hidden = (np.abs(x_px - vary((-14, 14))) < half) & (np.abs(y_px - vary((-14, 14))) < half)
    image = np.where(hidden, vary((0, 1)), image)
    image += vary(RANGES.noise) * random.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, 0, 1)


def _glyph_coordinates(x_px: Floats, y_px: Floats, unit_px: Floats, vary: Vary) -> tuple[Floats, Floats]:
    """Where each pixel lies in the glyph's own coordinates: bent by waves, shifted, turned, sheared."""
    full_turn = np.float32(2 * np.pi)
    wave_x = vary(RANGES.bend_px) * np.sin(full_turn * (y_px / vary(RANGES.bend_wave_px) + vary((0, 1))))
    wave_y = vary(RANGES.bend_px) * np.sin(full_turn * (x_px / vary(RANGES.bend_wave_px) + vary((0, 1))))
    x = x_px + wave_x - vary(RANGES.shift_px)
    y = y_px + wave_y - vary(RANGES.shift_px)
    angle = np.deg2rad(vary(RANGES.turn_degrees))
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = x * cosine + y * sine, y * cosine - x * sine
    return (x + vary(RANGES.shear) * y) * vary(RANGES.slimness) / unit_px, y / unit_px


def _distance(x: Floats, y: Floats, segments: Floats) -> Floats:
    """Distance from each point to the nearest segment, in the points' unit."""
    nearest = np.full(x.shape, np.inf, dtype=np.float32)
    for x0, y0, x1, y1 in segments:
        along_x, along_y = x1 - x0, y1 - y0
        from_x, from_y = x - x0, y - y0
        share = (from_x * along_x + from_y * along_y) / (along_x * along_x + along_y * along_y)
        np.clip(share, 0, 1, out=share)
        from_x -= share * along_x
        from_y -= share * along_y
        np.minimum(nearest, from_x * from_x + from_y * from_y, out=nearest)
    return np.sqrt(nearest)
