"""Runs as they lie in a results folder, read for judging: on a laptop, from anybody, so nothing in them is trusted.

What cannot be is set aside with its place and the reason, and the rest is used. Nothing is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic

from bench.claims import Claim, read_claims
from bench.errors import ConfigError, InputError
from bench.records import Plan, PlannedTrial, TrialRecord

PLAN = "plan.json"
RUN = "run.json"
TRIALS = "trials.jsonl"

GREATEST = 1e12
"""Items per second, milliseconds: more than any device gives or anybody waits for."""
LEAST_PER_S = 1e-9
GREATEST_READING = 1e30
MOST_ROWS = 10_000_000
"""Of one table: a few bytes of Parquet may stand for more rows than there is memory."""
WHOLE, NUMBER, TRUTH, TEXT = "iu", "iuf", "b", "OSU"
"""Kinds of numpy's types that a column may have."""
SAMPLE_COLUMNS = {"tenant": WHOLE, "end_ns": WHOLE, "latency_ns": NUMBER, "counted": TRUTH}
TELEMETRY_COLUMNS = {"t_ns": WHOLE, "subject": TEXT, "metric": TEXT, "value": NUMBER}


@dataclass(frozen=True)
class SetAside:
    """Something of a run that is not used: where it stands, and why."""

    where: str
    why: str


@dataclass(frozen=True)
class Samples:
    """The requests of one trial that counted: which tenant answered, how long it took, and when the window was."""

    tenant: npt.NDArray[np.int64]
    latency_ms: npt.NDArray[np.float64]
    start_ns: int
    end_ns: int


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
    return list(dict.fromkeys(found))


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
        plan = Plan.model_validate_json(_content(folder / PLAN))
    except (OSError, ValueError) as error:
        raise InputError(
            f"this run's plan cannot be read: {_first(error)}",
            where=str(folder / PLAN),
            hint="restore it from a copy; nothing can be judged without the plan",
        ) from error
    trials, bad_lines = _matched(plan, folder / TRIALS)
    description, bad_run = _description(folder / RUN)
    return StoredRun(folder, description, plan, trials, (*bad_run, *bad_lines))


def parse_lines(path: Path) -> Iterator[tuple[int, TrialRecord | ValueError]]:
    """Each whole line with its number: a trial, or the error in it. What follows the last newline is no whole line."""
    try:
        lines = _content(path).split(b"\n")
    except FileNotFoundError:
        return
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield number, TrialRecord.model_validate_json(line)
        except ValueError as error:
            yield number, error


def read_samples(run: StoredRun, trial: TrialRecord) -> Samples | SetAside:
    """The requests of one trial. Names of trials are checked when they are read, so they stay inside the folder."""
    table = _table(run.folder / "samples" / f"{trial.id}.parquet", SAMPLE_COLUMNS)
    if isinstance(table, SetAside):
        return table
    where = f"samples/{trial.id}.parquet"
    counted = table["counted"]
    if not counted.any():
        return SetAside(where, "no request in it counts")
    latency_ms = table["latency_ns"][counted].astype(np.float64) / 1e6
    ends_ns = table["end_ns"][counted].astype(np.int64)
    tenant = table["tenant"][counted].astype(np.int64)
    if not ((latency_ms >= 0) & (latency_ms <= GREATEST)).all():
        return SetAside(where, "it holds latencies that cannot be")
    return Samples(tenant, latency_ms, int(ends_ns[0] - latency_ms[0] * 1e6), int(ends_ns.max()))


def read_telemetry(run: StoredRun, trial: TrialRecord) -> dict[tuple[str, str], npt.NDArray[np.float64]] | SetAside:
    """(subject, metric) -> [ticks, 2]: ns of the shared clock, value."""
    table = _table(run.folder / "telemetry" / f"{trial.id}.parquet", TELEMETRY_COLUMNS)
    if isinstance(table, SetAside):
        return table
    ticks = np.column_stack([table["t_ns"].astype(np.float64), table["value"].astype(np.float64)])
    sound = np.all(np.abs(ticks) <= GREATEST_READING, axis=1)  # which no NaN is
    rows: dict[tuple[str, str], list[int]] = {}
    for index, key in enumerate(zip(table["subject"].tolist(), table["metric"].tolist(), strict=True)):
        if sound[index]:
            rows.setdefault((str(key[0]), str(key[1])), []).append(index)
    return {key: ticks[chosen] for key, chosen in rows.items()}


def _matched(plan: Plan, path: Path) -> tuple[tuple[TrialRecord, ...], list[SetAside]]:
    """The trials that the plan knows, once each."""
    planned = {trial.id: trial for trial in plan.trials}
    trials: dict[str, TrialRecord] = {}
    aside: list[SetAside] = []
    for number, found in _lines(path, aside):
        where = f"{TRIALS}, line {number}"
        if isinstance(found, ValueError):
            aside.append(SetAside(where, _first(found)))
        elif why := _stranger(plan, planned.get(found.id), found):
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
        aside.append(SetAside(TRIALS, _first(error)))


def _stranger(plan: Plan, planned: PlannedTrial | None, found: TrialRecord) -> str | None:
    if planned is None:
        return f"the plan has no trial {found.id}"
    for name in PlannedTrial.model_fields:
        if getattr(planned, name) != getattr(found, name):
            return f"its {name} is not what was planned for {found.id}"
    if found.device != plan.device:
        return f"trial {found.id} was measured on another device than the run"
    if found.status == "ok" and not found.throughput_per_s:
        return f"trial {found.id} is called valid and has no throughput"
    if not _possible(found):
        return f"trial {found.id} has numbers that cannot be"
    return None


def _possible(found: TrialRecord) -> bool:
    """Whether its speeds and times are such as devices have, so that reckoning with them cannot overflow."""
    latencies = [one for one in (found.latency_ms, *found.tenant_latency_ms) if one]
    times = (value for one in latencies for value in (one.p50, one.p90, one.p95, one.p99, one.mean))
    greatest = max((found.throughput_per_s or 0.0, *found.tenant_throughput_per_s, *times))
    return greatest <= GREATEST and (not found.throughput_per_s or found.throughput_per_s >= LEAST_PER_S)


def _content(path: Path) -> bytes:
    """Of a file, and of nothing else: a device or a pipe would never end."""
    if not path.is_file() and path.exists():
        raise OSError("it is no file")
    return path.read_bytes()


def _description(path: Path) -> tuple[Mapping[str, Any], list[SetAside]]:
    try:
        content = json.loads(_content(path))
    except (OSError, ValueError, RecursionError) as error:
        return {}, [SetAside(RUN, _first(error))]
    return (content, []) if isinstance(content, dict) else ({}, [SetAside(RUN, "it is not a JSON object")])


def _table(path: Path, columns: Mapping[str, str]) -> dict[str, npt.NDArray[Any]] | SetAside:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = f"{path.parent.name}/{path.name}"
    try:
        # Through memory: of ten thousand small files, opening them inside pyarrow would cost most.
        file = pq.ParquetFile(pa.BufferReader(_content(path)))
        if file.metadata.num_rows > MOST_ROWS:
            return SetAside(where, f"it has {file.metadata.num_rows} rows, and at most {MOST_ROWS} are read")
        table = file.read(columns=list(columns), use_threads=False)
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            return SetAside(where, f"it has no column {', '.join(missing)}")
        found = {name: table.column(name).to_numpy() for name in columns}
        wrong = [name for name, kinds in columns.items() if found[name].dtype.kind not in kinds]
        if wrong and table.num_rows:  # without rows there are no types
            return SetAside(where, f"its column {wrong[0]} is of another type or has gaps")
        return found
    except (OSError, ValueError, pa.ArrowException) as error:
        return SetAside(where, _first(error))


def _first(error: Exception) -> str:
    """The first line of what an error says, shortened: it may quote what a stranger wrote."""
    if isinstance(error, pydantic.ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}"[:200] if place else str(first["msg"])[:200]
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
