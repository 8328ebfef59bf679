"""A report with something of everything in it, from a run that nobody measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from made_up_runs import accuracy, claim, infeasible, parquet, plan, run, write

from bench.claims import Claim
from bench.judge.published import Figure, Published
from bench.records import Gate, PlannedTrial
from bench.report.data import Report, build
from bench.stored import StoredRun, read_run

CELLS = {"full": ("fp32", "fp32_again", "int8_ort", "ort_fp32", "slow"), "time_shared": ("fp32", "int8_ort")}
SPEEDS = {"fp32": 1.0, "fp32_again": 1.0, "int8_ort": 3.0, "ort_fp32": 1.8, "slow": 0.5}
SPOILED = "something else ran there"
DESCRIPTION = {
    "started_at": "2026-11-24T07:30:10+00:00",
    "overrides": ["workload=specimen", "optimizations=[fp32,int8_ort]"],
    "seed": 7,
    "fingerprint": {"cpu": {"name": "made-up processor"}, "versions": {"numpy": "2.4"}},
    "config": {"workload": {"_target_": "specimen"}, "claims": {"left": "out"}},
}


def claims() -> dict[str, Claim]:
    """Confirmed, refuted, about GPUs (so it stands beside), settled, and never tested."""
    return {
        "holds": claim(title="int8 is faster", low=2.0, high=4.0, reading="range", quality_loss_below=0.01),
        "fails": claim(title="slow is fast", reading="at_least", low=2.0, treatments=("slow",)),
        "gpu": claim(title="int8 on a GPU", hardware="gpu", needs="an NVIDIA GPU"),
        "untested": claim(title="never tried", hardware="gpu", treatments=("fp4",), needs="a GPU with FP4"),
    }


def measured(planned: PlannedTrial) -> Mapping[str, Any]:
    """Speeds that differ from block to block, one trial in twenty spoiled."""
    wobble = 1 + 0.01 * ((planned.block * 7 + planned.position * 3) % 5 - 2)
    per_s = 100 * SPEEDS[planned.optimization] * wobble
    each = tuple(per_s / planned.tenants * share for share in ((1.1, 0.9) if planned.tenants == 2 else (1.0,)))
    told: dict[str, Any] = {"throughput_per_s": per_s, "tenant_throughput_per_s": each}
    told["quality"] = accuracy(10_000, 20, 10) if planned.optimization == "int8_ort" else accuracy(10_000, 0, 0)
    if planned.partition == "full":  # of the others it is not known
        told |= {"telemetry": {"ceiling_share": 0.00137 * per_s, "bytes_share": 0.2}, "proof": {"precision": "fp32"}}
    if planned.block == 3 and planned.optimization == "slow":
        told |= {"status": "invalid", "reason": SPOILED, "gate": Gate(valid=False, reasons=(SPOILED,))}
    return told


def stored(folder: Path, blocks: int = 10, description: Mapping[str, Any] = DESCRIPTION, **fields: Any) -> StoredRun:
    """As a folder with samples and telemetry, read back."""
    made = plan(CELLS, blocks=blocks, again="fp32_again", same_runtime={"int8_ort": "ort_fp32"}, **fields)
    shared = tuple(
        trial.model_copy(update={"tenants": 2}) if trial.partition == "time_shared" else trial for trial in made.trials
    )
    made = made.model_copy(
        update={"trials": shared, "infeasible": (infeasible("mig_1of7", "*", "there is no NVIDIA GPU"),)}
    )
    found = replace(run(made, measured, folder.name), description=description)
    return read_run(write(found, folder, samples=True))


def published() -> dict[str, Published]:
    """One source with two figures."""
    figures = (
        Figure(workload="resnet", optimization="fp32", throughput_per_s=100.0, accuracy_percent=76.0),
        Figure(workload="resnet", optimization="int8_ort", throughput_per_s=250.0, accuracy_percent=75.9),
    )
    source = Published(source="a paper", device="A30", device_kind="cuda", figures=figures)
    return {"paper.yaml": source}


def report(folder: Path, **fields: Any) -> Report:
    """Of one run and one published source."""
    return build(claims(), [stored(folder, **fields)], published())


def spoil_telemetry(folder: Path, trial: str, subject: str) -> None:
    """A subject of any name in the telemetry of one trial."""
    columns = {"t_ns": [0, 10**8], "subject": [subject] * 2, "metric": [subject] * 2, "value": [1.0, 2.0]}
    (folder / "telemetry" / f"{trial}.parquet").write_bytes(parquet(columns))


def change_trial(folder: Path, number: int, **fields: Any) -> None:
    """One line of the record, changed."""
    path = folder / "trials.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | fields)
    path.write_text("\n".join(lines) + "\n")
