"""Runs of many nights that nobody measured, for tests of histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from made_up_runs import latency, plan, run

from bench.records import Plan, PlannedTrial
from bench.stored import StoredRun

FIRST = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
CELLS = {"full": ("fp32", "int8_ort")}


def described(number: int, **fingerprint: Any) -> dict[str, Any]:
    """run.json of the night with that number, with what its fingerprint is to say."""
    found = {
        "bench": "0.1.0", "commit": "a" * 12, "system": "Linux-6.1", "load_average": [number % 7, 1.0, 1.0],
        "cpu": {"name": "made-up processor", "governor": "performance"}, "versions": {"torch": "2.12.0"},
        "environment": {},
    }  # fmt: skip
    return {
        "started_at": (FIRST + timedelta(days=number)).isoformat(),
        "seed": number,
        "fingerprint": {**found, **fingerprint},
        "config": {"optimizations": {name: {"expects": name} for name in CELLS["full"]}, "claims": {"left": "out"}},
    }


def night(
    number: int, levels: Mapping[str, float], blocks: int = 6, description: Mapping[str, Any] | None = None,
    made: Plan | None = None, fields: Mapping[str, Any] | None = None,
) -> StoredRun:  # fmt: skip
    """One run. `levels`: items per second of each optimization; blocks lie half a per cent apart. `fields`: of every
    trial record."""
    made = made or plan(CELLS, blocks=blocks)

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        per_s = levels[planned.optimization] * (1 + 0.005 * (planned.block - (made.blocks + 1) / 2))
        told = {
            "throughput_per_s": per_s,
            "tenant_latency_ms": (latency(1e3 / per_s),),
            "latency_ms": latency(1e3 / per_s),
        }
        return {**told, **(fields or {})}

    when = FIRST + timedelta(days=number)
    found = run(made, measured, f"{when:%Y%m%d-%H%M%S}-nightly")
    return replace(found, description=described(number) if description is None else description)


def nights(count: int, shifts: Mapping[int, float], seed: int = 1, **fingerprints: Sequence[Any]) -> list[StoredRun]:
    """int8_ort shifts by factors at some nights, fp32 never; 1 % noise. `fingerprints`: name -> value of each night."""
    rng = np.random.default_rng(seed)
    level, found = 1000.0, []
    for number in range(count):
        level *= shifts.get(number, 1.0)
        noise = np.exp(0.01 * rng.standard_normal(2))
        told = {name: values[number] for name, values in fingerprints.items()}
        levels = {"fp32": 100 * noise[0], "int8_ort": level * noise[1]}
        found.append(night(number, levels, description=described(number, **told)))
    return found
