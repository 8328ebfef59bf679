"""What an importer found, as a stored run like any other: read, listed, judged and shown by the same code.

Of another tool's measurements nobody knows that they were interleaved, so no look is ever planned and nothing is ever
decided from them. A cell's measurements count as its repetitions, in their order, wherever a run of bench has blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from bench import clock
from bench.errors import InputError
from bench.imports.imported import Found, Measured, Place
from bench.imports.together import each_file_once, fits, merged, one_place
from bench.records import Estimate, Imported, Latency, Missing, Plan, PlannedTrial, TrialRecord
from bench.store import Run
from bench.stored import GREATEST, LEAST_PER_S, PLAN, RUN, RUN_FORMAT, StoredRun, first_line, read_run, stranger

Cell = tuple[str, str]
"""(partition, optimization)"""
PROTOCOL = "imported"
BASELINE = "fp32"
"""What everything is compared with in tables, where a cell has that name. Otherwise nothing is: cells of a stranger's
need not be versions of each other."""
FOREVER_MS = GREATEST / 1e3
"""Beyond that nanoseconds are no whole numbers any more."""


def create(found: Found, results_dir: Path) -> Path:
    """A new run of all that was found: its folder. Raises InputError, before anything is written."""
    place = one_place(found.measured)
    each_file_once(found.imported.files)
    trials = _trials(found, None, frozenset())
    plan = _plan(place, (), trials, _with_missing(found.imported, trials))
    stored = Run.create(results_dir, f"{clock.file_stamp()}-{place.workload}-{place.scenario}")
    stored.write_json(RUN, _description(found, place))
    _write(stored, plan, trials, found)
    return stored.folder


def add(found: Found, folder: Path) -> Path:
    """More cells, or more repetitions of those that there are, in a run that was imported before. The plan is written
    last: until then nothing of what is added counts, so an import that is broken off can be made again."""
    place = one_place(found.measured)
    fits(read_run(folder), found, place)
    stored = Run.open(folder)
    before = read_run(folder)  # again: another import may have ended before this one held the folder
    earlier = fits(before, found, place)
    trials = _trials(found, before, frozenset(trial.id for trial in stored.trials()))
    plan = _plan(place, before.plan.trials, trials, merged(earlier, _with_missing(found.imported, trials)))
    _write(stored, plan, trials, found)
    return stored.folder


# --- records ---


def _trials(found: Found, before: StoredRun | None, taken: frozenset[str]) -> list[TrialRecord]:
    """A line for each measurement. `taken`: names of lines that are there; some may be of an import that was broken
    off."""
    repetitions: dict[Cell, int] = {}
    positions: dict[int, int] = {}
    for planned in before.plan.trials if before else ():
        cell = (planned.partition, planned.optimization)
        repetitions[cell] = max(repetitions.get(cell, 0), planned.block)
        positions[planned.block] = max(positions.get(planned.block, 0), planned.position)
    shapes = {
        (trial.partition, trial.optimization): (trial.batch_size, trial.tenants)
        for trial in (before.trials if before else ())
    }
    names = {*taken, *(planned.id for planned in (before.plan.trials if before else ()))}
    trials = []
    for one in found.measured:
        place = one.place
        cell = (place.partition or "full", place.optimization)
        shape = (place.batch_size or 1, place.tenants or 1)
        if shapes.setdefault(cell, shape) != shape:
            raise InputError(
                f"{cell[1]} on {cell[0]} was measured with {shapes[cell][0]} items a request by {shapes[cell][1]} "
                f"tenants, and with {shape[0]} by {shape[1]}",
                where="bench import",
                hint="these are two: name the second otherwise, optimization=..., or import it into a run of its own",
            )
        block = repetitions[cell] = repetitions.get(cell, 0) + 1
        position = positions.get(block, 0) + 1
        while (name := f"{block:03d}-{position:02d}-{cell[0]}-{cell[1]}"[:200]) in names:
            position += 1
        positions[block] = position
        names.add(name)
        trials.append(_trial(found.imported, one, cell, name, block, position))
    return trials


def _trial(imported: Imported, one: Measured, cell: Cell, name: str, block: int, position: int) -> TrialRecord:
    place = one.place
    latencies_ms = np.asarray(one.latencies_ms, dtype=np.float64)
    _possible(one, latencies_ms)
    latency = _quantiles(latencies_ms) if len(latencies_ms) else one.latency_ms
    tenants, requests = place.tenants or 1, one.requests or len(latencies_ms)
    alone = tenants == 1 and latency is not None
    try:
        return TrialRecord(
            id=name, block=block, position=position, workload=place.workload, scenario=place.scenario,
            partition=cell[0], division=cell[0], optimization=cell[1], tenants=tenants,
            device=place.device, device_kind=place.device_kind, batch_size=place.batch_size or 1,
            status="invalid" if (reason := _invalid(imported, one)) else "ok",
            reason=reason,
            throughput_per_s=one.throughput_per_s or None,
            tenant_throughput_per_s=(one.throughput_per_s,) if tenants == 1 and one.throughput_per_s else (),
            requests=requests, window_s=one.window_s, latency_ms=latency,
            tenant_latency_ms=(latency,) if alone else (), tenant_requests=(requests,) if alone else (),
            quality=one.quality, telemetry=dict(one.telemetry),
            artifact={"imported": dict(one.detail)} if one.detail else {}, started_at=imported.when,
        )  # fmt: skip
    except pydantic.ValidationError as error:
        raise _impossible(first_line(error)) from error


def _invalid(imported: Imported, one: Measured) -> str | None:
    if one.invalid:
        return f"{imported.tool} calls it invalid: {one.invalid}"
    return None if one.throughput_per_s else f"{imported.tool} tells of no throughput"


def _possible(one: Measured, latencies_ms: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """What would be set aside when the run is read is refused before it is stored."""
    if latencies_ms.ndim != 1 or not ((latencies_ms >= 0) & (latencies_ms <= FOREVER_MS)).all():
        raise _impossible("a latency below nothing, or of years")
    if one.ends_s and len(one.ends_s) != len(latencies_ms):
        raise _impossible(f"{len(one.ends_s)} ends of {len(latencies_ms)} requests")
    summary = one.latency_ms
    times = [] if summary is None else [summary.p50, summary.p90, summary.p95, summary.p99, summary.mean]
    told = [*times, *(value for value in (one.window_s, one.requests) if value is not None)]
    if not all(math.isfinite(value) and 0 <= value <= GREATEST for value in told):
        raise _impossible("a time or a count that no device has")
    rate = one.throughput_per_s
    if rate is not None and rate != 0 and not (math.isfinite(rate) and LEAST_PER_S <= rate <= GREATEST):
        raise _impossible(f"{rate!r} items per second")


def _impossible(what: str) -> InputError:
    return InputError(
        f"the files hold numbers that cannot be: {what}",
        where="the files of this import",
        hint="look at what the tool wrote, and at the unit that was said",
    )


def _quantiles(latencies_ms: np.ndarray[Any, np.dtype[np.float64]]) -> Latency:
    p50, p90, p95, p99 = np.quantile(latencies_ms, (0.5, 0.9, 0.95, 0.99))
    return Latency(p50=p50, p90=p90, p95=p95, p99=p99, mean=latencies_ms.mean())


def _plan(place: Place, before: Sequence[PlannedTrial], trials: Sequence[TrialRecord], imported: Imported) -> Plan:
    """Of the trials that were planned before, and of the new ones."""
    fields = PlannedTrial.model_fields
    new = [PlannedTrial(**{name: getattr(trial, name) for name in fields}) for trial in trials]
    planned = [*before, *new]
    plan = Plan(
        workload=place.workload, scenario=place.scenario, device=place.device, device_kind=place.device_kind,
        rehearsal=False, protocol=PROTOCOL, baseline=BASELINE, seed=0,
        blocks=max(trial.block for trial in planned), imported=imported,
        trials=tuple(sorted(planned, key=lambda trial: (trial.block, trial.position))), infeasible=(),
        estimate=Estimate(trials_s=0.0, builds=0),
    )  # fmt: skip
    for plain, trial in zip(new, trials, strict=True):
        if why := stranger(plan, plain, trial):  # whoever reads the run would set it aside
            raise _impossible(why)
    return plan


def _with_missing(imported: Imported, trials: Sequence[TrialRecord]) -> Imported:
    """What the tool never tells, and what these files do not."""
    return imported.model_copy(update={"missing": tuple(dict.fromkeys((*imported.missing, *_untold(trials))))})


def _untold(trials: Sequence[TrialRecord]) -> Iterator[Missing]:
    """Of any of them: what some tell of helps no comparison."""
    if not all(trial.quality for trial in trials):
        yield "quality"
    if not all(trial.telemetry for trial in trials):
        yield "telemetry"
    if not all(trial.latency_ms for trial in trials):
        yield "latency"


def _description(found: Found, place: Place) -> dict[str, Any]:
    return {
        "format": RUN_FORMAT,
        "started_at": found.imported.when,
        "imported_at": clock.utc_now(),
        "device": {"name": place.device, "kind": place.device_kind},
        "rehearsal": False,
        "fingerprint": dict(found.fingerprint),
    }


# --- files ---


def _write(stored: Run, plan: Plan, trials: Sequence[TrialRecord], found: Found) -> None:
    for sha256, content in found.kept.items():
        stored.keep(sha256, content)
    for trial, one in zip(trials, found.measured, strict=True):
        if len(one.latencies_ms):
            stored.write_samples(trial.id, _samples(one))
        stored.append_trial(trial)
    stored.write_json(PLAN, plan.model_dump())


def _samples(one: Measured) -> Mapping[str, Any]:
    """As trials of bench have them. Where no ends are told they follow on each other: nothing that is judged or shown
    rests on them without telemetry beside them, and an import has none."""
    latencies_ns = np.asarray(one.latencies_ms, dtype=np.float64) * 1e6
    if len(one.ends_s):
        ends_ns = (np.asarray(one.ends_s, dtype=np.float64) * 1e9).astype(np.int64)
    else:
        ends_ns = np.cumsum(latencies_ns).astype(np.int64)
    return {
        "tenant": np.zeros(len(latencies_ns), dtype=np.int64),
        "end_ns": ends_ns,
        "latency_ns": latencies_ns,
        "counted": np.ones(len(latencies_ns), dtype=bool),
    }
