"""A run of which nothing is wrong, to be spoiled, and everything that is done with a stored run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from made_up_runs import accuracy, claim, faster, plan, run, write

from bench.claims import read_claims
from bench.composition import compose_all
from bench.judge.ledger import to_json
from bench.report.data import Report, build
from bench.stored import StoredRun, read_run

CLAIMS = {**read_claims(compose_all([], ())[0].config["claims"]), "mine": claim(quality_loss_below=0.01)}
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
CELLS = {"full": ("fp32", "fp32_again", "int8_ort")}


def sound_run(folder: Path) -> Path:
    """30 trials with samples (1,000 each) and telemetry."""
    speeds = faster({"int8_ort": 1.35})
    quality = accuracy(10_000, 20, 10)
    stored = run(plan(CELLS, again="fp32_again"), lambda planned: {**speeds(planned), "quality": quality})
    return write(stored, folder, samples=True)


def use(folder: Path) -> tuple[StoredRun, Report]:
    """All that is done with a stored run, and that what comes out of it is plain, finite and JSON."""
    stored = read_run(folder)
    report = build(CLAIMS, [stored], {})
    assert [entry.name for entry in report.entries] == list(CLAIMS)
    for entry in report.entries:
        json.dumps([to_json(verdict) for verdict in entry.verdicts], allow_nan=False)
    assert not [value for value in numbers(report.runs[0].cells) if not np.isfinite(value)]
    assert not [value for value in numbers(report.runs[0].timelines) if not np.isfinite(value)]
    return stored, report


def numbers(content: Any) -> Iterator[float]:
    """Every float inside."""
    if isinstance(content, float):
        yield content
    elif is_dataclass(content):
        for field in fields(content):
            yield from numbers(getattr(content, field.name))
    elif isinstance(content, dict):
        for value in content.values():
            yield from numbers(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from numbers(value)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def store(folder: Path, content: list[Any]) -> None:
    (folder / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in content))
