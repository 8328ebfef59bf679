"""Throughputs whose truth is known, in five noise models, and the project's own judging over them.

The models are those of docs/method.md. The throughput of a process is its true value times exp(block + process +
drift): block noise (sd 2 %) is shared by all cells of a block, process noise (sd 1 %) is drawn anew for every process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from made_up_runs import claim, plan, run

from bench.claims import Claim
from bench.judge.contrasts import Contrast, Contrasts
from bench.judge.evidence import Pairs, RunEvidence
from bench.judge.verdicts import Verdict, judge_run
from bench.plan.blocks import ordered_blocks
from bench.records import PlannedTrial
from bench.stored import StoredRun

Array = npt.NDArray[np.float64]
Truth = float | Sequence[float]
"""One speed-up for all treatments, or one for each."""
Noise = Literal["normal", "skewed", "heavy-tailed", "bimodal", "drifting"]
BLOCK_SD, PROCESS_SD = 0.02, 0.01
DRIFT_PER_TRIAL = 0.001
CLAIMS: Mapping[str, Claim] = {"claim": claim(reading="range", low=1.2, high=1.5, treatments=("t*",))}
LOOKS, LOOK_LEVEL = (10, 20, 40), 0.02


def _bimodal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Three processes in ten land in a slow mode, 2.1 % below the fast one; each mode has a little spread."""
    slow = rng.random(shape) < 0.3
    return np.sqrt(0.91) * (0.3 - slow) / np.sqrt(0.21) + 0.3 * rng.standard_normal(shape)


STANDARDISED: Mapping[Noise, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "skewed": lambda rng, shape: 1 - rng.exponential(size=shape),  # now and then one is much slower
    "heavy-tailed": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "bimodal": _bimodal,
    "drifting": lambda rng, shape: rng.standard_normal(shape),
}
"""Process noise of mean 0 and sd 1."""


def noise(model: Noise, rng: np.random.Generator, cells: int, blocks: int, draws: int) -> Array:
    """[draws, cells, blocks], logarithms. The drift is linear in time, over the project's own order of trials."""
    found = BLOCK_SD * rng.standard_normal((draws, 1, blocks))
    found = found + PROCESS_SD * STANDARDISED[model](rng, (draws, cells, blocks))
    if model == "drifting":
        found += DRIFT_PER_TRIAL * np.array([_times(cells, blocks, seed) for seed in rng.integers(2**31, size=draws)])
    return found


def _times(cells: int, blocks: int, seed: int) -> Array:
    """[cells, blocks]: how many trials ran before each."""
    found = np.empty((cells, blocks))
    names = [f"{cell:03d}" for cell in range(cells)]
    for block, order in enumerate(
        islice(ordered_blocks({"full": [("full", name) for name in names]}, int(seed)), blocks)
    ):
        for position, (_, name) in enumerate(order):
            found[int(name), block] = block * cells + position
    return found


def differences(model: Noise, truth: Truth, blocks: int, draws: int, seed: int, treatments: int = 1) -> Array:
    """[draws, treatments, blocks]: ln throughput of each treatment less that of the baseline, which they share."""
    rng = np.random.default_rng([seed, blocks, round(1000 * np.sum(truth)), list(STANDARDISED).index(model)])
    logs = noise(model, rng, treatments + 1, blocks, draws)
    return np.log(np.broadcast_to(truth, treatments))[:, None] + logs[:, 1:] - logs[:, :1]


class Given(Contrasts):
    """Contrasts that no plan has."""

    def __init__(self, given: list[Contrast]) -> None:
        super().__init__(_PLAN)
        self._given = given

    def of(self, claims: Mapping[str, Claim]) -> list[Contrast]:
        return self._given


class SimulatedEvidence(RunEvidence):
    """A finished run whose pairs are given [treatments, blocks], so that no draw has to be written as trials first."""

    def __init__(self, found: Array) -> None:
        super().__init__(StoredRun(Path("simulated"), {}, _PLAN, ()))
        self._found = found
        self._listed = [Contrast("claim", "claimed", ("full", f"t{i}"), ("full", "fp32")) for i in range(len(found))]
        self.contrasts = Given(self._listed)

    def complete_looks(self) -> list[int]:
        return list(LOOKS)

    def pairs(self, contrast: Contrast, blocks: int) -> Pairs:
        values = self._found[self._listed.index(contrast), :blocks]
        return Pairs(dict(enumerate(values.tolist(), start=1)), {})


_PLAN = plan({"full": ()}, looks=LOOKS, look_level=LOOK_LEVEL)


def judged(found: Array) -> list[Verdict]:
    """The whole procedure over one draw [treatments, blocks]: three looks, and Holm over all treatments."""
    return judge_run(SimulatedEvidence(found), CLAIMS)


def as_stored(found: Array) -> StoredRun:
    """The same draw as the trials of a run, the baseline always at 100 per second."""
    names = [f"t{i}" for i in range(len(found))]
    made = plan({"full": ["fp32", *names]}, blocks=LOOKS[-1], looks=LOOKS, look_level=LOOK_LEVEL)
    ratios = dict(zip(names, np.exp(found), strict=True))

    def measured(planned: PlannedTrial) -> Mapping[str, float]:
        ratio = ratios[planned.optimization][planned.block - 1] if planned.optimization in ratios else 1.0
        return {"throughput_per_s": 100 * float(ratio)}

    return run(made, measured)
