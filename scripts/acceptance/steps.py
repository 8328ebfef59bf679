"""The steps of an acceptance run, each one command of bench (or of this folder): what is learnt soonest first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.stored import read_run

WORKLOADS = ("glyphs", "resnet50", "bert_base", "vit_b16", "distilbert")
SCENARIOS = ("offline", "single_stream")
PARTITIONS = ("full", "time_shared", "green_context", "mps")
MIG_PARTITIONS = ("mig_1of7", "mig_1of3")
NOT_FOR_MODELS = ("native",)
"""An optimization of plain Python functions only."""
BENCH = (sys.executable, "-m", "bench")


@dataclass(frozen=True)
class Choice:
    """What a person chose. `gpu` and `device` are bench's gpu= and gpu.device=; `mig`: bench may change the GPU's MIG
    layout."""

    folder: Path
    gpu: str
    device: str | None
    protocol: str
    workloads: tuple[str, ...]
    scenarios: tuple[str, ...]
    partitions: tuple[str, ...]
    optimizations: tuple[str, ...]
    mig: bool
    rounds: int
    build_limit_s: float


@dataclass(frozen=True)
class Step:
    """One command. `output`: the file that its standard output becomes; `runs`: the folder of its one run, which can be
    interrupted and resumed; None: it is short and simply repeated. `every_time`: also when it was done before, because
    it tells of what the others have done since. `needed`: nothing else is tried when it fails."""

    name: str
    command: tuple[str, ...]
    output: Path
    runs: Path | None = None
    every_time: bool = False
    needed: bool = False


def options(choice: Choice) -> dict[str, Any]:
    """By name: what must stay the same over all calls in a folder. The limit of builds follows from --minutes."""
    return {name: value for name, value in asdict(choice).items() if name not in ("folder", "build_limit_s")}


def all_steps(choice: Choice) -> Iterator[Step]:
    """One after the other: what judges the runs is made when they are there."""
    folder = choice.folder
    device = (choice.device,) if choice.device else ()
    fidelity = (sys.executable, "-m", "scripts.acceptance.fidelity", choice.gpu, str(choice.rounds), *device)
    yield Step("doctor", (*BENCH, "doctor", "--json", *_gpu(choice)), folder / "doctor.json", needed=True)
    yield Step("fidelity", fidelity, folder / "fidelity.json")
    steps = [measured(choice, workload, scenario) for workload in choice.workloads for scenario in choice.scenarios]
    yield from steps
    runs = [str(step.runs) for step in steps if step.runs and step.runs.exists()]
    if runs:
        report = (*BENCH, "report", "--json", "--output", str(folder / "report"), *runs)
        yield Step("verify", (*BENCH, "verify", "--json", *runs), folder / "verdicts.json", every_time=True)
        yield Step("report", report, folder / "report.json", every_time=True)


def measured(choice: Choice, workload: str, scenario: str) -> Step:
    """One experiment: all partitions and optimizations in the same blocks, so that they can be compared."""
    name = f"{workload}-{scenario}"
    runs = choice.folder / "results" / name
    partitions = (*choice.partitions, *(MIG_PARTITIONS if choice.mig else ()))
    allowed = [f"partitions.{partition}.allow_reconfigure=true" for partition in partitions if choice.mig]
    command = (
        *BENCH,
        "run",
        "--json",
        *_gpu(choice),
        f"workload={workload}",
        f"scenario={scenario}",
        f"protocol={choice.protocol}",
        f"protocol.build_limit_s={choice.build_limit_s:g}",
        f"partitions=[{','.join(partitions)}]",
        f"optimizations=[{','.join(choice.optimizations)}]",
        *allowed,
        f"results_dir={runs}",
        f"cache_dir={choice.folder / 'cache'}",
    )
    return Step(name, command, choice.folder / f"{name}.json", runs)


def next_command(step: Step, failed: bool) -> tuple[str, ...]:
    """The command that goes on with the step's newest run, where there is one; a run that is complete and `failed` has
    nothing left that could go better, so another is begun."""
    begun = sorted(step.runs.glob("*/plan.json")) if step.runs else []
    if not begun or (failed and _complete(begun[-1].parent)):
        return step.command
    return (*BENCH, "run", "--json", "--resume", str(begun[-1].parent))


def _complete(folder: Path) -> bool:
    try:
        run = read_run(folder)
    except InputError:  # bench says so when it is to resume it
        return False
    return {trial.id for trial in run.plan.trials} == {trial.id for trial in run.trials}


def _gpu(choice: Choice) -> tuple[str, ...]:
    """bench's options."""
    return (f"gpu={choice.gpu}", *((f"gpu.device={choice.device}",) if choice.device else ()))


def model_optimizations(names: Sequence[str]) -> tuple[str, ...]:
    """All of them, the baseline first."""
    return ("fp32", *(name for name in names if name not in ("fp32", *NOT_FOR_MODELS)))
