"""The gate: is a trial valid? It judges by cause, never by the value that was measured.

Each check gives a reason in words or nothing. What cannot be known on this machine (NaN) is not held against a trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.measure import gate_ceiling, gate_gpu, probe, steady
from bench.records import Gate

RUN_DELAY_LIMIT = 0.10
"""Share of the window that any one thread may wait for a core where cores are not shared by design."""
FOREIGN_CPU_LIMIT = 0.10
"""Cores' worth of CPU time, per core of the device, that processes other than the tenants may use."""
STEAL_LIMIT = 0.02
"""Share of the window's core time that a hypervisor may take away."""
FEWEST_REQUESTS = 5
"""Fewer requests than this (or than the protocol asks for, if that is less) are no distribution."""
WINDOW_LIMIT = 0.5
"""Share of the planned window in which all tenants must really have run together."""
TELEMETRY_GAP_LIMIT = 5.0
"""Longest gap between two telemetry ticks, in intervals."""

ALTERNATIVES = "|"
"""Between the precisions that an optimization may choose from."""


@dataclass(frozen=True)
class Evidence:
    """What the gate looks at. Shares are of the window; NaN is unknown. gpu: None on a CPU. reached: of each tenant."""

    warmups: Sequence[Mapping[str, Any]]
    warmup_limit_s: float
    requests: Sequence[int]
    min_requests: int
    window_medians: Sequence[Sequence[float]]
    window_share: float
    run_delay_share: float
    cores_shared: bool
    foreign_cpu_share: float
    steal_share: float
    telemetry_problem: str | None
    telemetry_gap_intervals: float
    expected_precision: str
    proved_precisions: Sequence[str]
    probe_distances: Sequence[float | None]
    gpu: gate_gpu.GpuEvidence | None = None
    reached: Sequence[gate_ceiling.Reached] = ()


def judge(evidence: Evidence) -> Gate:
    reasons = [reason for check in CHECKS if (reason := check(evidence))]
    if evidence.gpu:
        reasons += gate_gpu.reasons(evidence.gpu)
    reasons += gate_ceiling.reasons(evidence.reached)
    return Gate(valid=not reasons, reasons=tuple(reasons), checks=_numbers(evidence))


def _warm(e: Evidence) -> str | None:
    for warmup in e.warmups:
        if not warmup["steady"]:
            change = warmup["drift"]
            seen = f"still {change:+.1%} between halves" if math.isfinite(change) else "too few requests to tell"
            return f"not steady within {e.warmup_limit_s:g} s of warm-up: {seen}"
    return None


def _enough(e: Evidence) -> str | None:
    least = min(e.requests)
    if least >= e.min_requests:
        return None
    return f"only {least} requests in the common window, {e.min_requests} needed"


def _short(e: Evidence) -> str | None:
    if not e.window_share < WINDOW_LIMIT:
        return None
    return f"the tenants ran together in only {e.window_share:.0%} of the window"


def _starved(e: Evidence) -> str | None:
    if e.cores_shared or not e.run_delay_share > RUN_DELAY_LIMIT:
        return None
    return f"waited for a core {e.run_delay_share:.0%} of the window: something else ran there"


def _foreign(e: Evidence) -> str | None:
    if e.gpu is not None or not e.foreign_cpu_share > FOREIGN_CPU_LIMIT:  # a GPU's tenants may wait for cores: _starved
        return None
    return f"other processes used {e.foreign_cpu_share:.0%} of the device's cores"


def _stolen(e: Evidence) -> str | None:
    if not e.steal_share > STEAL_LIMIT:
        return None
    return f"the hypervisor took {e.steal_share:.0%} of the core time"


def _telemetry(e: Evidence) -> str | None:
    if e.telemetry_problem:
        return f"telemetry lost: {e.telemetry_problem}"
    if e.telemetry_gap_intervals > TELEMETRY_GAP_LIMIT:
        return f"telemetry lost: a gap of {e.telemetry_gap_intervals:.0f} intervals"
    return None


def _precision(e: Evidence) -> str | None:
    for proved in e.proved_precisions:
        if proved not in e.expected_precision.split(ALTERNATIVES):
            return f"wrong precision executed: {proved}, not {e.expected_precision.replace(ALTERNATIVES, ' or ')}"
    return None


def _same_model(e: Evidence) -> str | None:
    for distance in e.probe_distances:
        if distance is not None and not distance <= probe.LIMIT:  # NaN: it answers with what is no number
            return f"its outputs are not those of the model whose quality was judged (relative distance {distance:.3g})"
    return None


CHECKS = (_warm, _enough, _short, _starved, _foreign, _stolen, _telemetry, _precision, _same_model)


def _numbers(e: Evidence) -> dict[str, Any]:
    """The finite numbers behind the decision, for the record."""
    numbers = {
        "window_share": e.window_share,
        "run_delay_share": e.run_delay_share,
        "foreign_cpu_share": e.foreign_cpu_share,
        "steal_share": e.steal_share,
        "telemetry_gap_intervals": e.telemetry_gap_intervals,
        "warmup_s": max((w["seconds"] for w in e.warmups), default=math.nan),
        "window_drift": max((abs(steady.drift(m)[0]) for m in e.window_medians if m), default=math.nan),
        "probe_distance": max((d for d in e.probe_distances if d is not None), default=math.nan),
        **(gate_gpu.numbers(e.gpu) if e.gpu else {}),
        **gate_ceiling.checks(e.reached),
    }
    return {name: round(value, 6) for name, value in numbers.items() if math.isfinite(value)}
