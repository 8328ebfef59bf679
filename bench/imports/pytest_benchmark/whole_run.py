"""A whole run in the form of pytest-benchmark, as `bench export` writes it and `bench import` reads it back.

document["bench"]                      form, run (run.json), plan, order (of the trials), unmeasured (trials without
                                       requests of their own)
benchmarks[i]["extra_info"]["bench"]   trial, and of each request in `data`: tenant, end_ns; latency_ns where
                                       seconds do not give it back exactly, otherwise null
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic

from bench.imports.files import shown, wrong
from bench.imports.imported import WholeRun
from bench.records import Plan, TrialRecord
from bench.stored import GREATEST, first_line

OWN = "bench"
FORM = 1
HINT = "export it again: bench export pytest-benchmark RUN"
INTEGER = 2**63 - 1


def is_own(document: Mapping[str, Any]) -> bool:
    own = document.get(OWN)
    return isinstance(own, dict) and "form" in own


def whole_run(path: Path, document: Mapping[str, Any]) -> WholeRun:
    """Raises InputError where a part is missing or cannot be."""
    own = document[OWN]
    if own["form"] != FORM:
        raise wrong(
            path, f"its form is {shown(own['form'])}, and this bench knows {FORM}", "import it with a newer bench"
        )
    description, order, unmeasured = own.get("run"), own.get("order"), own.get("unmeasured")
    if not isinstance(description, dict) or not isinstance(order, list) or not isinstance(unmeasured, list):
        raise wrong(path, "parts of the run are missing: run, order or unmeasured", HINT)
    try:
        plan = Plan.model_validate(own.get("plan"))
        trials = {trial.id: trial for trial in map(TrialRecord.model_validate, unmeasured)}
        requests: dict[str, Mapping[str, Any]] = {}
        for entry in document["benchmarks"]:
            carried = _carried(path, entry)
            trial = TrialRecord.model_validate(carried.get("trial"))
            if trial.id in trials:
                raise wrong(path, f"trial {trial.id} stands in it twice", HINT)
            trials[trial.id] = trial
            if carried.get("tenant") is not None:
                requests[trial.id] = _requests(path, trial.id, entry["stats"].get("data"), carried)
    except pydantic.ValidationError as error:
        raise wrong(path, f"its plan or a trial cannot be read: {first_line(error)}", HINT) from error
    if plan.rehearsal:
        raise wrong(path, "this is a rehearsal: its figures are of no device", "measure, and export that run")
    if not all(isinstance(name, str) for name in order) or sorted(order) != sorted(trials):
        raise wrong(path, "its order names other trials than it holds", HINT)
    return WholeRun(description, plan, [trials[name] for name in order], requests)


def _carried(path: Path, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = entry.get("extra_info")
    carried = extra.get(OWN) if isinstance(extra, dict) else None
    if not isinstance(carried, dict):
        raise wrong(path, f"{shown(entry['name'])} carries no trial", HINT)
    return carried


def _requests(path: Path, trial: str, data: Any, carried: Mapping[str, Any]) -> Mapping[str, Any]:
    """As the store has them. All of them count: what did not was left behind."""
    seconds = _numbers(path, trial, "data", data, whole=False)
    tenant = _numbers(path, trial, "tenant", carried.get("tenant"), whole=True)
    ends_ns = _numbers(path, trial, "end_ns", carried.get("end_ns"), whole=True)
    exact = carried.get("latency_ns")
    latency_ns: npt.NDArray[Any] = from_seconds(np.asarray(seconds, dtype=np.float64))
    if exact is not None:
        told = np.asarray(_numbers(path, trial, "latency_ns", exact, whole=False), dtype=np.float64)
        if told.shape != latency_ns.shape or (np.abs(told - latency_ns) > 1).any():
            raise wrong(path, f"trial {trial}: latency_ns are other times than data", HINT)
        latency_ns = told
    if not len(tenant) == len(ends_ns) == len(seconds):
        raise wrong(path, f"trial {trial}: data, tenant and end_ns are of different lengths", HINT)
    return {
        "tenant": np.asarray(tenant, dtype=np.int64),
        "end_ns": np.asarray(ends_ns, dtype=np.int64),
        "latency_ns": latency_ns,
        "counted": np.ones(len(seconds), dtype=bool),
    }


def _numbers(path: Path, trial: str, what: str, found: Any, whole: bool) -> Sequence[float]:
    kinds, most = (int, INTEGER) if whole else (int | float, GREATEST * 1e6)
    if not isinstance(found, list) or not found:
        raise wrong(path, f"trial {trial} has no {what}", HINT)
    for value in found:
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value <= most:
            raise wrong(path, f"trial {trial}: {what} holds {shown(value)}, which cannot be", HINT)
    return found


def to_seconds(latency_ns: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return latency_ns.astype(np.float64) / 1e9


def from_seconds(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Exact for whole nanoseconds of less than a day (`latency_ns` is carried where it would not be)."""
    return np.rint(seconds * 1e9).astype(np.int64)
