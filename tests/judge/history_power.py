"""The tables of docs/history.md: PYTHONPATH=tests:tests/judge python tests/judge/history_power.py (a minute)."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from planted_shifts import MODELS, NEAR, NOISE_SD, Draw, correlated, planted, score

from bench.judge.history.changes import course
from bench.report.progress import say

SERIES, DELAYS, WAIT = 100, 60, 40
STILL = {8: 400, 12: 400, 20: 400, 30: 400, 60: 400, 120: 400, 500: 100}
"""Nights of a series that does not shift -> how many of such series."""


def found(draw: Draw) -> str:
    """Of five shifts in 500 nights: what is found, where it is placed, and what the intervals cover."""
    good, spurious, off, covered = 0, 0, [], []
    for seed in range(SERIES):
        rng = np.random.default_rng([seed, 500])
        places, level = planted(rng)
        shifts = course(level + NOISE_SD * draw(rng, level.shape)).shifts
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


def delay(model: str, size: float) -> str:
    """Nights after a shift until it is found, of 60 nights before it."""
    waits = []
    for seed in range(DELAYS):
        values = NOISE_SD * MODELS[model](np.random.default_rng([seed, 60]), (60 + WAIT,))
        values[60:] -= size
        nights = (n for n in range(1, WAIT + 1) if any(abs(s.index - 60) <= 3 for s in course(values[: 60 + n]).shifts))
        waits.append(next(nights, WAIT))
    return f"{np.median(waits):.0f} ({np.quantile(waits, 0.9):.0f})"


def alarms(model: str, nights: int, series: int) -> tuple[float, float]:
    """Shares of series without a shift that show one, and that show a possible one."""
    courses = [
        course(NOISE_SD * MODELS[model](np.random.default_rng([seed, nights]), (nights,))) for seed in range(series)
    ]
    return float(np.mean([bool(one.shifts) for one in courses])), float(np.mean([bool(one.pending) for one in courses]))


def main() -> None:
    for model, draw in MODELS.items():
        say(f"| {model} | {found(draw)} | {delay(model, 0.03)} / {delay(model, 0.05)} |")
    say(f"correlated, 0.5: {found(partial(correlated, 0.5))}")
    for model in MODELS:
        told = [alarms(model, nights, series) for nights, series in STILL.items()]
        shares = " | ".join(f"{100 * false:.2g} %" for false, _ in told)
        say(f"| {model} | {shares} | possible {' '.join(f'{100 * off:.2g}' for _, off in told)} |")


if __name__ == "__main__":
    main()
