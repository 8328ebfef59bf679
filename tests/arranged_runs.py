"""Runs that nobody measured in which a known neighbour slows a tenant down by a known factor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from made_up_runs import latency, plan, run

from bench.records import PlannedTrial, TrialRecord
from bench.stored import StoredRun

BLOCK_SD, PROCESS_SD = 0.02, 0.01
"""As in judge/simulation.py: noise of a block is shared by its cells, noise of a process is its own."""


@dataclass(frozen=True)
class Truth:
    """slow_downs: by (division, neighbours), 1 where nothing is said. isolations: factors on speed. spread: of the
    noise, 0 for none."""

    slow_downs: Mapping[tuple[str, str], float]
    isolations: Mapping[str, float] = field(default_factory=lambda: {"process": 1.0})
    slots: Mapping[str, int] = field(default_factory=lambda: {"full": 1, "cpuset": 2, "time_shared": 2})
    alone_per_s: Mapping[str, float] = field(default_factory=dict)
    spread: float = 1.0

    def per_s(self, planned: PlannedTrial) -> float:
        """Of the victim."""
        slowed = self.slow_downs.get((planned.division, planned.neighbours), 1.0)
        return self.alone_per_s.get(planned.division, 100.0) / slowed * self.isolations[planned.isolation]


def arranged_run(
    truth: Truth,
    neighbours: Sequence[str],
    divisions: Iterable[str] = ("cpuset", "time_shared"),
    optimizations: Sequence[str] = ("fp32",),
    blocks: int = 10,
    seed: int = 0,
    requests: int = 5000,
    full: bool = False,
    **fields: Any,
) -> StoredRun:
    """Every division in every isolation beside all neighbours, and `full` without any."""
    sides = {}
    for division in divisions:
        for isolation in truth.isolations:
            for name in neighbours:
                sides[".".join((division, isolation, name))] = (division, isolation, name)
    if full:
        sides |= {f"full.{isolation}": ("full", isolation, "same") for isolation in truth.isolations}
    made = plan(dict.fromkeys(sides, optimizations), blocks=blocks, seed=seed, **fields)
    trials = tuple(trial.model_copy(update=_parts(truth, *sides[trial.partition])) for trial in made.trials)
    rng = np.random.default_rng([seed, blocks])
    of_block = dict(enumerate(rng.normal(0, BLOCK_SD * truth.spread, blocks + 1)))

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        noise = np.exp(of_block[planned.block] + rng.normal(0, PROCESS_SD * truth.spread))
        per_s = float(truth.per_s(planned) * noise)
        own = planned.tenants if planned.neighbours == "same" else 1
        return {
            "throughput_per_s": own * per_s,
            "tenant_throughput_per_s": (per_s,) * own,
            "tenant_latency_ms": (latency(500 / per_s),) * own,  # its p99 is twice the median
            "tenant_requests": (requests,) * own,
            "neighbour_throughput_per_s": () if planned.neighbours in ("same", "alone") else (7.0,),
        }

    return run(made.model_copy(update={"trials": trials}), measured)


def _parts(truth: Truth, division: str, isolation: str, neighbours: str) -> dict[str, Any]:
    tenants = 1 if neighbours == "alone" else truth.slots[division]
    return {"division": division, "isolation": isolation, "neighbours": neighbours, "tenants": tenants}


def listed(run: StoredRun, rates: tuple[float, ...], division: str) -> StoredRun:
    """The same, where that division names its tenants one by one instead of having all of them alike."""

    def mixed(found: Any) -> Any:
        told = {"neighbours": "listed"} if found.division == division and found.neighbours == "same" else {}
        more = {"neighbour_throughput_per_s": rates} if told and isinstance(found, TrialRecord) else {}
        return found.model_copy(update={**told, **more})

    plan = run.plan.model_copy(update={"trials": tuple(map(mixed, run.plan.trials))})
    return StoredRun(run.folder, {}, plan, tuple(map(mixed, run.trials)))
