"""Made-up nights: levels with planted shifts, in the noise models that run means are thought to have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from simulation import STANDARDISED

from bench.judge.history.changes import Shift, course

Array = npt.NDArray[np.float64]
NOISE_SD, STEP, NEAR = 0.01, 0.03, 5


def correlated(kept: float, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Each night keeps so much of the deviation of the last one."""
    (nights,) = shape
    found = np.empty(nights)
    found[0] = rng.standard_normal()
    for night in range(1, nights):
        found[night] = kept * found[night - 1] + np.sqrt(1 - kept**2) * rng.standard_normal()
    return found


def two_modes(slow: float, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """That share of nights lies 2.1 sd lower, and nights of one mode hardly differ."""
    return 2.1 * (slow - (rng.random(shape) < slow)) + 0.1 * rng.standard_normal(shape)


Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
MODELS: Mapping[str, Draw] = {
    **{name: draw for name, draw in STANDARDISED.items() if name != "drifting"},
    "correlated": partial(correlated, 0.3),
    "two tight modes, 20 % slow": partial(two_modes, 0.2),
    "two tight modes, 50 % slow": partial(two_modes, 0.5),
}
"""Noise of mean 0 and sd 1 (two tight modes: 0.85 and 1.05)."""


def planted(rng: np.random.Generator, nights: int = 500, shifts: int = 5, apart: int = 20) -> tuple[list[int], Array]:
    """Where the level shifts by STEP, up or down, and the level of each night as a logarithm."""
    while True:
        places = sorted(int(place) for place in rng.choice(np.arange(apart, nights - apart), shifts, replace=False))
        if all(np.diff(places) >= apart):
            break
    level = np.zeros(nights)
    for place in places:
        level[place:] += STEP * rng.choice([-1, 1])
    return places, level


def score(found: Sequence[Shift], places: Sequence[int]) -> tuple[int, int]:
    """How many of the planted shifts are found within NEAR nights, and how many others are."""
    left = [shift.index for shift in found]
    hits = 0
    for place in places:
        near = [index for index in left if abs(index - place) <= NEAR]
        if near:
            hits += 1
            left.remove(min(near, key=lambda index: abs(index - place)))
    return hits, len(left)


def night_after_night(values: Array, places: Sequence[int]) -> tuple[int, int]:
    """What somebody sees who asks every night, with the nights so far at hand: how many of the planted shifts are told
    when at most NEAR nights of them are measured, and how many others are ever told (those that lie within NEAR nights
    of each other count once)."""
    told = [{shift.index for shift in course(values[:nights]).shifts} for nights in range(1, len(values) + 1)]
    in_time = sum(
        any(abs(index - place) <= NEAR for seen in told[place : place + NEAR] for index in seen) for place in places
    )
    false: list[int] = []
    for index in sorted(set().union(*told)):
        if all(abs(index - place) > NEAR for place in places) and (not false or index - false[-1] > NEAR):
            false.append(index)
    return in_time, len(false)
