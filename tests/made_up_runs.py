"""Runs that nobody measured, for tests of judging: in memory, or as folders like those that `bench run` leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.claims import Claim
from bench.plan.blocks import ordered_blocks
from bench.records import Estimate, Infeasible, Latency, Plan, PlannedTrial, Quality, TrialRecord
from bench.stored import StoredRun

DEVICE = "made-up device"
CELLS = {"full": ("fp32", "int8_ort")}
Measured = Callable[[PlannedTrial], Mapping[str, Any]]
"""What became of a planned trial: fields of its record that are not as `trial` has them."""


def claim(**fields: Any) -> Claim:
    """A claim of 1.2 to 1.5 about int8_ort on any hardware, unless told otherwise."""
    told = {"title": "made up", "source": {"document": "nowhere"}, "hardware": "any", **fields}
    if "reading" not in told:
        told |= {"reading": "range", "low": 1.2, "high": 1.5}
    return Claim.model_validate({"treatments": ("int8_ort",), **told})


def plan(
    cells: Mapping[str, Sequence[str]] = CELLS, blocks: int = 10, seed: int = 1, tenants: int = 1, **fields: Any
) -> Plan:
    """In bench's own order of blocks. With looks at 10, 20 and 40, unless told otherwise."""
    trials = []
    together = {partition: [(partition, name) for name in names] for partition, names in cells.items()}
    for block, order in zip(range(1, blocks + 1), ordered_blocks(together, seed), strict=False):
        for position, (partition, optimization) in enumerate(order, start=1):
            trials.append(
                PlannedTrial(
                    id=f"{block:03d}-{position:02d}-{partition}-{optimization}", block=block, position=position,
                    workload="specimen", scenario="single_stream", partition=partition, optimization=optimization,
                    tenants=tenants, **sides(partition),
                )
            )  # fmt: skip
    told = {
        "workload": "specimen", "scenario": "single_stream", "device": DEVICE, "device_kind": "cpu",
        "rehearsal": False, "protocol": "standard", "baseline": "fp32", "seed": seed, "blocks": blocks,
        "looks": (10, 20, 40), "look_level": 0.02, "trials": tuple(trials), "infeasible": (),
        "estimate": Estimate(trials_s=float(len(trials)), builds=2),
    }  # fmt: skip
    return Plan(**{**told, **fields})


def sides(partition: str) -> dict[str, str]:
    """The parts of a partition, by its name as bench makes it: "time_shared.container.compute_hog"."""
    division, *parts = partition.split(".")
    isolation = parts[0] if parts and parts[0].startswith("container") else "process"
    beside = [part for part in parts if not part.startswith("container")]
    return {"division": division, "isolation": isolation, "neighbours": beside[0] if beside else "same"}


def infeasible(partition: str, optimization: str, reason: str) -> Infeasible:
    """What was asked for and could not run."""
    return Infeasible(partition=partition, optimization=optimization, reason=reason)


def latency(p50_ms: float) -> Latency:
    """With a tail of twice the median."""
    return Latency(p50=p50_ms, p90=1.5 * p50_ms, p95=1.8 * p50_ms, p99=2 * p50_ms, mean=p50_ms)


def accuracy(items: int, lost: int, gained: int) -> Quality:
    """Against a baseline that is right on nine items in ten."""
    right = round(0.9 * items)
    return Quality(
        metric="accuracy", baseline="fp32", items=items, accuracy=max(right + gained - lost, 0) / items,
        baseline_accuracy=right / items, gained=gained, lost=lost, top1_agreement=1 - (lost + gained) / items,
        mean_kl_nats=0.0, cosine=1.0, relative_error=0.0,
    )  # fmt: skip


def agreement(items: int, changed: int) -> Quality:
    """Without labels."""
    return Quality(
        metric="agreement", baseline="fp32", items=items, top1_agreement=1 - changed / items, mean_kl_nats=0.0,
        cosine=1.0, relative_error=0.0,
    )  # fmt: skip


def trial(planned: PlannedTrial, device: str = DEVICE, device_kind: str = "cpu", **fields: Any) -> TrialRecord:
    """A valid one with 100 items per second, unless told otherwise."""
    throughput = fields.get("throughput_per_s", 100.0)
    told = {
        "device": device, "device_kind": device_kind, "batch_size": 1, "status": "ok", "throughput_per_s": 100.0,
        "tenant_throughput_per_s": (throughput / planned.tenants,) * planned.tenants if throughput else (),
        "requests": 1000, "window_s": 1.0, "latency_ms": latency(1.0), "tenant_latency_ms": (latency(1.0),),
        "tenant_requests": (1000,) * planned.tenants,
    }  # fmt: skip
    return TrialRecord(**{**planned.model_dump(), **told, **fields})


def run(made: Plan, measured: Measured, name: str = "made-up-run") -> StoredRun:
    """Every planned trial, as `measured` tells of it."""
    trials = tuple(
        trial(planned, device=made.device, device_kind=made.device_kind, **measured(planned)) for planned in made.trials
    )
    return StoredRun(Path(name), {"made_up": True}, made, trials)


def faster(ratios: Mapping[str, float], spread: float = 0.01) -> Measured:
    """Optimizations by how much faster they are than the rest, every other block `spread` above that and below it."""

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.optimization not in ratios:
            return {}
        wobble = 1 + spread * (-1 if planned.block % 2 else 1)
        return {"throughput_per_s": 100 * ratios[planned.optimization] * wobble}

    return measured


def write(stored: StoredRun, folder: Path, samples: bool = False) -> Path:
    """The run as a folder, with samples and telemetry of every trial where asked."""
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(stored.plan.model_dump_json())
    (folder / "run.json").write_text(json.dumps(dict(stored.description)))
    (folder / "trials.jsonl").write_text("".join(f"{found.model_dump_json()}\n" for found in stored.trials))
    if samples:
        sampled, told = sample_table(1000), telemetry_table()
        for name, content in (("samples", sampled), ("telemetry", told)):
            (folder / name).mkdir()
            for found in stored.trials:
                (folder / name / f"{found.id}.parquet").write_bytes(content)
    return folder


def sample_table(requests: int, tenants: int = 1) -> bytes:
    """Latencies of one to two milliseconds, as a Parquet file."""
    latencies_ns = [1_000_000 + 1_000_000 * (index * 37 % 100) // 100 for index in range(requests)]
    return parquet(
        {
            "tenant": [index % tenants for index in range(requests)],
            "end_ns": [2_000_000 * (index + 1) for index in range(requests)],
            "latency_ns": latencies_ns,
            "counted": [True] * requests,
        }
    )


def telemetry_table(ticks: int = 10) -> bytes:
    """One running total and one level, as a Parquet file."""
    rows = [(100_000_000 * tick, metric, tick * 0.1) for tick in range(ticks) for metric in ("cpu_s", "rss_bytes")]
    return parquet(
        {
            "t_ns": [row[0] for row in rows],
            "subject": ["tenant0"] * len(rows),
            "metric": [row[1] for row in rows],
            "value": [row[2] for row in rows],
        }
    )


def parquet(columns: Mapping[str, Any]) -> bytes:
    """Any columns as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content
