"""The tables of docs/history.md: PYTHONPATH=tests:tests/judge python tests/judge/history_power.py (some minutes)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from planted_shifts import MODELS, NEAR, NOISE_SD, Array, Draw, correlated, night_after_night, planted, score

from bench.judge.history.changes import course
from bench.report.progress import say

SERIES, EVERY_NIGHT, DELAYS, WAIT = 100, 40, 60, 40
STILL = {8: 400, 12: 400, 20: 400, 30: 400, 60: 400, 120: 400, 500: 100}
"""Nights of a series that does not shift -> how many of such series."""
SMALL = (0.01, 0.015, 0.02, 0.03)
STAIRS = ((3, 60), (3, 90), (5, 120))
DRIFTS = ((0.05, 60), (0.09, 60), (0.1, 100), (0.1, 300))


def series(draw: Draw, seed: int) -> tuple[list[int], Array, Array]:
    """Five shifts in 500 nights: their places, the levels, and the values."""
    rng = np.random.default_rng([seed, 500])
    places, level = planted(rng)
    return places, level, level + NOISE_SD * draw(rng, level.shape)


def afterwards(draw: Draw) -> str:
    """With all nights at hand: what is found, where it is placed, and what the intervals cover."""
    good, spurious, off, covered = 0, 0, [], []
    for seed in range(SERIES):
        places, level, values = series(draw, seed)
        shifts = course(values).shifts
        hits, false = score(shifts, places)
        good += hits >= 4 and false <= 2
        spurious += false
        for shift in shifts:
            place = min(places, key=lambda place: abs(place - shift.index))
            if abs(place - shift.index) <= NEAR:
                off.append(abs(place - shift.index))
                covered.append(shift.low <= math.exp(level[place] - level[place - 1]) <= shift.high)
    exact, near = np.mean(np.array(off) == 0), np.mean(np.array(off) <= 2)
    return f"{good} of {SERIES} ({spurious} false) | {exact:.0%} / {near:.0%} | {np.mean(covered):.0%}"


def every_night(draw: Draw) -> str:
    """With the nights so far at hand, every night."""
    told = np.array([night_after_night(series(draw, seed)[2], series(draw, seed)[0]) for seed in range(EVERY_NIGHT)])
    in_time, false = told.T
    both = np.sum((in_time >= 4) & (false <= 2))
    return f"{in_time.sum() / 5 / EVERY_NIGHT:.0%} | {both} of {EVERY_NIGHT} | {false.mean():.2g} ({false.max()})"


def delay(draw: Draw, size: float) -> str:
    """Nights after a shift until it is found, of 60 nights before it."""
    waits = []
    for seed in range(DELAYS):
        values = NOISE_SD * draw(np.random.default_rng([seed, 60]), (60 + WAIT,))
        values[60:] -= size
        nights = (n for n in range(1, WAIT + 1) if any(abs(s.index - 60) <= 3 for s in course(values[: 60 + n]).shifts))
        waits.append(next(nights, WAIT))
    return f"{np.median(waits):.0f} ({np.quantile(waits, 0.9):.0f})"


def alarms(draw: Draw, nights: int, number: int) -> tuple[float, float]:
    """Shares of series without a shift that show one, and that show a possible one."""
    courses = [course(NOISE_SD * draw(np.random.default_rng([seed, nights]), (nights,))) for seed in range(number)]
    return float(np.mean([bool(one.shifts) for one in courses])), float(np.mean([bool(one.pending) for one in courses]))


def sizes(draw: Draw, size: float) -> str:
    """Of a shift with 30 nights on either side: how often it is found, how much it is overstated then, and how often
    the interval covers its size."""
    told, covered = [], []
    for seed in range(2 * SERIES):
        values = NOISE_SD * draw(np.random.default_rng([seed, 61]), (60,))
        values[30:] -= size
        for shift in course(values).shifts:
            if abs(shift.index - 30) <= NEAR:
                told.append(-math.log(shift.ratio) / size)
                covered.append(shift.low <= math.exp(-size) <= shift.high)
    found = len(told) / (2 * SERIES)
    return (
        f"{size:.1%}: {found:.0%} found, {np.mean(told):.2f}-fold, {np.mean(covered):.0%} covered" if told else "none"
    )


def drifting(draw: Draw, levels: Sequence[float]) -> float:
    """Share that is called drifting."""
    made = (NOISE_SD * draw(np.random.default_rng([seed, 62]), (len(levels),)) for seed in range(SERIES))
    return float(np.mean([course(np.array(levels) + values).drift is not None for values in made]))


def main() -> None:
    models: dict[str, Draw] = {**MODELS, "correlated, 0.5": partial(correlated, 0.5)}
    for model, draw in models.items():
        say(f"| {model} | {afterwards(draw)} | {every_night(draw)} | {delay(draw, 0.03)} / {delay(draw, 0.05)} |")
        told = [alarms(draw, nights, number) for nights, number in STILL.items()]
        shares = " | ".join(f"{100 * false:.2g} %" for false, _ in told)
        say(f"| {model} | {shares} | possible {' '.join(f'{100 * off:.2g}' for _, off in told)} |")
        say(f"| {model} | {'; '.join(sizes(draw, size) for size in SMALL)} |")
        stairs = [drifting(draw, [-0.03 * (night * (steps + 1) // n) for night in range(n)]) for steps, n in STAIRS]
        lines = [drifting(draw, [-drop * night / (n - 1) for night in range(n)]) for drop, n in DRIFTS]
        say(f"| {model} | stairs {stairs}, lines {lines} called drifting |")


if __name__ == "__main__":
    main()
