"""A stored run as a document of pytest-benchmark: its own command line compares it, and `bench import` brings it back.

A benchmark is a trial, a round is a request that counted. What pytest-benchmark has no field for is carried beside
(`whole_run.py`). Telemetry series, and requests outside the common window, stay behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.imports.pytest_benchmark.whole_run import FORM, OWN, from_seconds, to_seconds
from bench.records import TrialRecord
from bench.stored import SetAside, StoredRun
from bench.stored_tables import read_requests

WRITTEN_AS = "5.3.1"
"""The version of pytest-benchmark whose documents these are like."""


def document(run: StoredRun) -> dict[str, Any]:
    """Of a run that bench measured, or that was imported from another tool."""
    benchmarks, unmeasured = [], []
    for trial in run.trials:
        entry = _benchmark(run, trial)
        if entry is None:
            unmeasured.append(trial.model_dump(mode="json"))
        else:
            benchmarks.append(entry)
    return {
        "machine_info": _machine(run),
        "commit_info": _commit(run),
        "benchmarks": benchmarks,
        "datetime": _text(run.description.get("started_at")),
        "version": WRITTEN_AS,
        OWN: {
            "form": FORM,
            "run": dict(run.description),
            "plan": run.plan.model_dump(mode="json"),
            "order": [trial.id for trial in run.trials],
            "unmeasured": unmeasured,
        },
    }


def _benchmark(run: StoredRun, trial: TrialRecord) -> dict[str, Any] | None:
    """None where there is nothing of which pytest-benchmark could show a time."""
    carried: dict[str, Any] = {
        "trial": trial.model_dump(mode="json"),
        "tenant": None,
        "end_ns": None,
        "latency_ns": None,
    }
    if trial.status == "failed":
        return None
    if run.plan.measures == "start_up":
        if trial.start_up_s is None:
            return None
        seconds = np.array([trial.start_up_s])
    else:
        found = read_requests(run, trial)
        if isinstance(found, SetAside) or (found["end_ns"] < 0).any() or (found["tenant"] < 0).any():
            return None
        seconds = to_seconds(found["latency_ns"])
        carried |= {name: found[name].tolist() for name in ("tenant", "end_ns")}
        if found["latency_ns"].dtype.kind not in "iu" or (from_seconds(seconds) != found["latency_ns"]).any():
            carried["latency_ns"] = found["latency_ns"].tolist()
    name = f"{trial.partition}-{trial.optimization}[{trial.block}]"
    return {
        "group": f"{trial.workload} {trial.scenario}",
        "name": name,
        "fullname": f"{trial.workload}/{trial.scenario}::{name}",
        "params": {"partition": trial.partition, "optimization": trial.optimization, "block": trial.block},
        "param": f"{trial.partition}-{trial.optimization}-{trial.block}",
        "extra_info": {OWN: carried},
        "options": {},
        "stats": stats(seconds),
    }


def stats(seconds: npt.NDArray[np.float64]) -> dict[str, Any]:
    """As pytest-benchmark reckons them, from at least one round."""
    data = np.sort(seconds)
    count, total, mean = len(data), float(data.sum()), float(data.mean())
    stddev = float(data.std(ddof=1)) if count > 1 else 0.0
    q1, q3 = _quartiles(data)
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    outside = int(((data < mean - stddev) | (data > mean + stddev)).sum())
    beyond = int(((data < low) | (data > high)).sum())
    return {
        "min": float(data[0]), "max": float(data[-1]), "mean": mean, "stddev": stddev, "rounds": count,
        "median": float(np.median(data)), "iqr": q3 - q1, "q1": q1, "q3": q3, "iqr_outliers": beyond,
        "stddev_outliers": outside, "outliers": f"{outside};{beyond}",
        "ld15iqr": float(data[np.searchsorted(data, low, "left")]),
        "hd15iqr": float(data[np.searchsorted(data, high, "right") - 1]),
        "ops": count / total if total else 0, "total": total, "data": seconds.tolist(), "iterations": 1,
    }  # fmt: skip


def _quartiles(data: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Of sorted data: the medians of its halves, and for an odd number of rounds between those with and without the
    middle one."""
    count = len(data)
    if count == 1:
        return float(data[0]), float(data[0])
    if count % 2 == 0:
        return float(np.median(data[: count // 2])), float(np.median(data[count // 2 :]))
    n, rest = divmod(count, 4)
    if rest == 1:
        return float(0.25 * data[n - 1] + 0.75 * data[n]), float(0.75 * data[3 * n] + 0.25 * data[3 * n + 1])
    return (
        float(0.75 * data[n] + 0.25 * data[n + 1]),
        float(0.25 * data[3 * n + 1] + 0.75 * data[3 * n + 2]),
    )


def _machine(run: StoredRun) -> dict[str, Any]:
    """What of the fingerprint has a place there."""
    fingerprint = _record(run.description.get("fingerprint"))
    return {
        "system": _text(fingerprint.get("system")),
        "python_version": _text(fingerprint.get("python")),
        "python_implementation": _text(fingerprint.get("implementation")),
        "cpu": {"brand_raw": _text(_record(fingerprint.get("cpu")).get("name"))},
        "device": run.plan.device,
    }


def _commit(run: StoredRun) -> dict[str, Any]:
    commit = _text(_record(run.description.get("fingerprint")).get("commit"))
    return {"id": commit or "unversioned", "time": None, "dirty": False, "project": OWN, "branch": "(unknown)"}


def _record(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""
