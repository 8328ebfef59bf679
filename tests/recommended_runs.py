"""A run of an A100 that nobody measured: every number in it is made up, and only for tests of recommending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from made_up_runs import accuracy, latency, plan, run

from bench.judge.recommend.answer import Answer, Weighed, answer
from bench.judge.recommend.need import Need
from bench.judge.recommend.values import GIB
from bench.records import Layout, PlannedInstance, PlannedTrial
from bench.stored import StoredRun

A100 = "NVIDIA A100-SXM4-40GB"
MEMORY_BYTES = 40 * GIB
SLICE_BYTES = 5 * GIB
TENANTS = {"full": 1, "mig_1of7": 7, "mig_1of3": 3, "time_shared": 7, "mps": 7}
PER_S = {"full": 1000.0, "mig_1of7": 1400.0, "mig_1of3": 1200.0, "time_shared": 900.0, "mps": 1300.0}
P99_MS = {"full": 2.0, "mig_1of7": 8.0, "mig_1of3": 5.0, "time_shared": 20.0, "mps": 12.0}
FASTER = {"fp32": 1.0, "int8": 2.0, "pruned": 2.5}
LOST = {"fp32": 0, "int8": 20, "pruned": 300}
DESCRIPTION: dict[str, Any] = {
    "overrides": ["workload=specimen", "optimizations=[fp32,int8,pruned]", "protocol=standard", "seed=3"],
    "config_folders": [],
    "config": {
        "partitions": {
            "full": {"_target_": "bench.partitions.full.Full"},
            "mig_1of7": {"_target_": "bench.partitions.mig.MigShare", "one_of": 7},
            "mig_1of3": {"_target_": "bench.partitions.mig.MigShare", "one_of": 3},
            "time_shared": {"_target_": "bench.partitions.time_shared.TimeShared", "tenants": 7},
            "mps": {"_target_": "bench.partitions.mps.Mps", "tenants": 7, "thread_percentage": 50},
        },
        "optimizations": {"int8": {"runtime": {"_target_": "a.b.OnnxRuntime", "quantization": "static"}}},
    },
    "device": {
        "name": A100, "cpus": list(range(14)), "memory_bytes": MEMORY_BYTES,
        "gpu": {"product": A100, "pci_device_id": 0x20B010DE},
    },
}  # fmt: skip


def instances(number: int, size: int, start_step: int) -> tuple[PlannedInstance, ...]:
    return tuple(
        PlannedInstance(
            profile=f"{size}g.{5 * size}gb", start=start_step * index, size=size, memory_bytes=size * SLICE_BYTES
        )
        for index in range(number)
    )


LAYOUTS = {
    "mig_1of7": Layout(words="7 x 1g.5gb", mig=True, instances=instances(7, 1, 1)),
    "mig_1of3": Layout(words="3 x 2g.10gb", mig=True, instances=instances(3, 2, 2)),
}


def a100(
    partitions: Sequence[str] = ("full", "mig_1of7", "time_shared"),
    optimizations: Sequence[str] = ("fp32", "int8", "pruned"),
    *,
    blocks: int = 10,
    requests: int = 5000,
    spread: float = 0.01,
    change: Mapping[str, Any] | None = None,
    description: Mapping[str, Any] = DESCRIPTION,
    measured: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    name: str = "a100",
    **fields: Any,
) -> StoredRun:
    """Blocks alternate `spread` above and below. change: fields of every trial. measured: of a cell's trials."""
    layouts = {name: LAYOUTS[name] for name in partitions if name in LAYOUTS}
    told_of_plan = {"device": A100, "device_kind": "cuda", "layouts": layouts, **fields}
    made = plan(dict.fromkeys(partitions, optimizations), blocks=blocks, **told_of_plan)
    trials = tuple(t.model_copy(update={"tenants": TENANTS[t.division]}) for t in made.trials)

    def told(planned: PlannedTrial) -> Mapping[str, Any]:
        wobble = 1 + spread * (-1 if planned.block % 2 else 1)
        per_s = PER_S[planned.division] * FASTER[planned.optimization] * wobble
        p99_ms = P99_MS[planned.division] / FASTER[planned.optimization] * wobble
        found: dict[str, Any] = {
            "throughput_per_s": per_s,
            "tenant_throughput_per_s": (per_s / planned.tenants,) * planned.tenants,
            "tenant_latency_ms": (latency(p99_ms / 2),) * planned.tenants,
            "tenant_requests": (requests,) * planned.tenants,
            "quality": accuracy(10_000, LOST[planned.optimization], 0),
            "telemetry": {"gpu_memory_peak_bytes": 10.0 * GIB, "energy_per_item_j": 300 / per_s, "peak_rss_bytes": 1e9},
        }
        return found | dict(change or {}) | dict((measured or {}).get((planned.division, planned.optimization), {}))

    found = run(made.model_copy(update={"trials": trials}), told, name)
    return StoredRun(Path(name), dict(description), found.plan, found.trials)


def need(**fields: Any) -> Need:
    """Of 10 ms, unless told otherwise."""
    return Need.model_validate(fields or {"p99_ms": 10})


def asked(found: StoredRun | Sequence[StoredRun], **fields: Any) -> Answer:
    return answer([found] if isinstance(found, StoredRun) else list(found), need(**fields))


def of(answered: Answer, name: str) -> Weighed:
    """The candidate of that name: "int8 on full"."""
    (found,) = (item for item in answered.weighed if item.candidate.name == name)
    return found


def why(item: Weighed) -> str:
    return "; ".join(finding.words for finding in item.reasons)
