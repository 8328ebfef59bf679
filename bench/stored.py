"""Runs as they lie in a results folder, read for judging: on a laptop, from anybody, so nothing in them is trusted.

What cannot be is set aside with its place and the reason, and the rest is used. Nothing is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from bench.claims import Claim, read_claims
from bench.errors import ConfigError, InputError
from bench.records import Plan, PlannedTrial, TrialRecord

PLAN = "plan.json"
RUN = "run.json"
TRIALS = "trials.jsonl"
IMPORTED = "imported"
RUN_FORMAT = 1
"""Of run.json, whoever writes it."""

GREATEST = 1e12
"""Items per second, milliseconds: more than any device gives or anybody waits for."""
LEAST_PER_S = 1e-9


@dataclass(frozen=True)
class SetAside:
    """Something of a run that is not used: where it stands, and why."""

    where: str
    why: str


@dataclass(frozen=True)
class StoredRun:
    """`description` is run.json, as far as it can be read."""

    folder: Path
    description: Mapping[str, Any]
    plan: Plan
    trials: tuple[TrialRecord, ...]
    set_aside: tuple[SetAside, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def claims(self) -> Mapping[str, Claim]:
        """The claims that it was planned to speak to, as far as run.json can be read."""
        config = self.description.get("config")
        try:
            return read_claims(config.get("claims")) if isinstance(config, dict) else {}
        except ConfigError:
            return {}

    @property
    def rehearsal(self) -> bool:
        return self.plan.rehearsal or any(trial.rehearsal for trial in self.trials)


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Run folders, from run folders and from folders that hold them. Raises InputError for one that has none."""
    found: list[Path] = []
    for path in paths:
        inside = [path] if (path / PLAN).exists() else sorted(p.parent for p in path.glob(f"*/{PLAN}"))
        if not inside:
            raise InputError(
                f"there is no run in {path}",
                where=str(path),
                hint="name the folder that `bench run` printed, or one that holds such folders",
            )
        found += inside
    return list({path.resolve(): path for path in reversed(found)}.values())[::-1]


def newest_run(results: Path) -> Path:
    """The run that was begun last. Raises InputError where there is none."""
    runs = sorted(path.parent for path in results.glob(f"*/{PLAN}"))
    if not runs:
        raise InputError(
            "there is no run yet", where=f"{results}/", hint="measure one with `bench run`, or name a run's folder"
        )
    # Names begin with the time; a run that was renamed, and lies there for reference, is not the newest.
    return max(runs, key=lambda run: (run.name[:1].isdigit(), run.name))


def read_run(folder: Path) -> StoredRun:
    """Raises InputError where there is no plan that can be read: without it nothing of the run means anything."""
    try:
        plan = Plan.model_validate_json(content(folder / PLAN))
    except (OSError, ValueError) as error:
        raise InputError(
            f"this run's plan cannot be read: {first_line(error)}",
            where=str(folder / PLAN),
            hint="restore it from a copy; nothing can be judged without the plan",
        ) from error
    trials, bad_lines = _matched(plan, folder / TRIALS)
    description, bad_run = _description(folder / RUN)
    return StoredRun(folder, description, plan, trials, (*bad_run, *bad_lines))


def parse_lines(path: Path) -> Iterator[tuple[int, TrialRecord | ValueError]]:
    """Each whole line with its number: a trial, or the error in it. What follows the last newline is no whole line."""
    try:
        lines = content(path).split(b"\n")
    except FileNotFoundError:
        return
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield number, TrialRecord.model_validate_json(line)
        except ValueError as error:
            yield number, error


def _matched(plan: Plan, path: Path) -> tuple[tuple[TrialRecord, ...], list[SetAside]]:
    """The trials that the plan knows, once each."""
    planned = {trial.id: trial for trial in plan.trials}
    trials: dict[str, TrialRecord] = {}
    aside: list[SetAside] = []
    for number, found in _lines(path, aside):
        where = f"{TRIALS}, line {number}"
        if isinstance(found, ValueError):
            aside.append(SetAside(where, first_line(found)))
        elif why := stranger(plan, planned.get(found.id), found):
            aside.append(SetAside(where, why))
        elif found.id in trials:
            aside.append(SetAside(where, f"a second line of trial {found.id}"))
        else:
            trials[found.id] = found
    return tuple(trials.values()), aside


def _lines(path: Path, aside: list[SetAside]) -> Iterator[tuple[int, TrialRecord | ValueError]]:
    try:
        yield from parse_lines(path)
    except OSError as error:
        aside.append(SetAside(TRIALS, first_line(error)))


def stranger(plan: Plan, planned: PlannedTrial | None, found: TrialRecord) -> str | None:
    """Why a trial is none of the plan's, or cannot be; None: nothing speaks against it."""
    if planned is None:
        return f"the plan has no trial {found.id}"
    for name in PlannedTrial.model_fields:
        if getattr(planned, name) != getattr(found, name):
            return f"its {name} is not what was planned for {found.id}"
    if found.device != plan.device:
        return f"trial {found.id} was measured on another device than the run"
    measured, other = found.throughput_per_s, found.start_up_s
    if plan.measures == "start_up":
        measured, other = other, measured
    if found.status == "ok" and not measured:
        return f"trial {found.id} is called valid and has no {plan.measures.replace('_', '-')}"
    if other is not None:
        return f"trial {found.id} measured something else than the run"
    if found.status == "ok" and found.gate is not None and not found.gate.valid:
        return f"trial {found.id} is called valid, and its gate says otherwise"
    if not _possible(found):
        return f"trial {found.id} has numbers that cannot be"
    return None


def _possible(found: TrialRecord) -> bool:
    """Whether its speeds and times are such as devices have, so that reckoning with them cannot overflow."""
    latencies = [one for one in (found.latency_ms, *found.tenant_latency_ms) if one]
    times = (value for one in latencies for value in (one.p50, one.p90, one.p95, one.p99, one.mean))
    starts = (*found.tenant_start_up_s, *([] if found.start_up_s is None else [found.start_up_s]))
    rates = (*found.tenant_throughput_per_s, *found.neighbour_throughput_per_s)
    greatest = max((found.throughput_per_s or 0.0, *rates, *starts, *times))
    slow = found.throughput_per_s and found.throughput_per_s < LEAST_PER_S
    return greatest <= GREATEST and not slow and all(start >= 1 / GREATEST for start in starts)


def content(path: Path) -> bytes:
    """Of a file, and of nothing else: a device or a pipe would never end."""
    if not path.is_file() and path.exists():
        raise OSError("it is no file")
    return path.read_bytes()


def _description(path: Path) -> tuple[Mapping[str, Any], list[SetAside]]:
    try:
        found = json.loads(content(path))
    except (OSError, ValueError, RecursionError) as error:
        return {}, [SetAside(RUN, first_line(error))]
    return (found, []) if isinstance(found, dict) else ({}, [SetAside(RUN, "it is not a JSON object")])


def first_line(error: Exception) -> str:
    """The first line of what an error says, shortened: it may quote what a stranger wrote."""
    if isinstance(error, pydantic.ValidationError):
        first = error.errors()[0]
        what, place = first["msg"].removeprefix("Value error, "), ".".join(str(part) for part in first["loc"])
        return f"{place}: {what}"[:200] if place else what[:200]
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
