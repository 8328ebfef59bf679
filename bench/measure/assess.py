"""From what the tenants said to a trial's numbers and its gate. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import clock, wire
from bench.contract import BOARD, Protocol
from bench.measure import gate, gate_ceiling, gate_gpu, gpu_numbers, steady, summary
from bench.measure.ceilings import Ceilings
from bench.measure.link import ChildFailed
from bench.measure.loop import GPU_COLUMNS, HOST_COLUMNS
from bench.measure.summary import END, START, Samples, Window
from bench.measure.trial import Answers
from bench.measure.work import Work
from bench.records import Gate, Latency


@dataclass(frozen=True)
class Assessed:
    """The numbers of a trial that was measured, whether or not the gate found it valid."""

    samples: Sequence[Samples]
    window: Window
    throughput_per_s: tuple[float, ...]
    latency_ms: Latency | None
    tenant_latency_ms: tuple[Latency, ...]
    gate: Gate
    proof: Mapping[str, Any]
    telemetry: Mapping[str, float]
    timing_s: Mapping[str, float]


def assess(
    answers: Answers,
    protocol: Protocol,
    batch_size: int,
    expected_precision: str,
    cores: int,
    cores_shared: bool,
    interval_s: float,
    first_clock_hz: float,
    work: Work,
    ceilings: Ceilings,
) -> Assessed:
    """`cores`: of the device; `cores_shared`: by design; `interval_s`: of telemetry; `first_clock_hz`: the GPU's in
    the first valid trial of the same cell, NaN: none; `work` of an item, `ceilings` of the slots.

    Raises ChildFailed for samples that cannot be.
    """
    samples = [_samples(index, answer) for index, answer in enumerate(answers.measured)]
    window = summary.common_window(samples, answers.open_ns)
    throughput_per_s = summary.throughput_per_s(window, batch_size)
    reached = [
        gate_ceiling.reached(work, ceilings, slot, answer["proof"], items_per_s, batch_size)
        for slot, answer, items_per_s in zip(answers.slots, answers.proved, throughput_per_s, strict=True)
    ]
    report = answers.ticks.report
    shares = _host_shares(report, len(answers.slots), cores)
    evidence = gate.Evidence(
        warmups=[answer["warmup"] for answer in answers.ready],
        warmup_limit_s=protocol.warmup_limit_s,
        requests=window.requests,
        min_requests=min(protocol.min_requests, gate.FEWEST_REQUESTS),
        window_medians=[steady.window_medians(latencies.tolist()) for latencies in window.latencies_ns],
        window_share=window.seconds * clock.NS_PER_S / (answers.end_ns - answers.open_ns),
        run_delay_share=_run_delay_share(answers),
        cores_shared=cores_shared,
        foreign_cpu_share=shares["foreign_cpu_share"],
        steal_share=shares["steal_share"],
        telemetry_problem=answers.ticks.problem,
        telemetry_gap_intervals=_gap_intervals(report, interval_s),
        expected_precision=expected_precision,
        proved_precisions=[answer["proof"]["precision"] for answer in answers.proved],
        probe_distances=[answer["probe_distance"] for answer in answers.proved],
        gpu=gate_gpu.evidence(report, window, first_clock_hz) if any(slot.gpu for slot in answers.slots) else None,
        reached=reached,
    )
    instances = [slot.gpu_instance for slot in answers.slots]
    gpu = gpu_numbers.numbers(report, window, throughput_per_s, instances)
    gpu["queueing_share"] = summary.queueing_share(window)
    limits = {"flops_per_item": work.flops_per_item, **gate_ceiling.numbers(reached)}
    return Assessed(
        samples=samples,
        window=window,
        throughput_per_s=throughput_per_s,
        latency_ms=summary.latency(window),
        tenant_latency_ms=summary.tenant_latencies(window),
        gate=gate.judge(evidence),
        proof={**answers.proved[0]["proof"], "issued": answers.measured[0].get("issued", {})},
        telemetry=_telemetry(answers, {**shares, **gpu, **limits}, interval_s),
        timing_s=_timing(answers),
    )


def _samples(index: int, answer: Mapping[str, Any]) -> Samples:
    """A tenant's samples, checked: a tenant is not trusted to be well."""
    try:
        flat, columns = wire.unpack_integers(answer["samples"]), int(answer["columns"])
    except (ValueError, TypeError, KeyError) as error:
        raise ChildFailed(f"tenant{index} sent samples that cannot be read: {error}") from error
    if columns not in (HOST_COLUMNS, GPU_COLUMNS) or not len(flat) or len(flat) % columns:
        raise ChildFailed(f"tenant{index} sent {len(flat)} numbers that are no rows of {columns}")
    samples = flat.reshape(-1, columns)
    if bool((np.diff(samples[:, (START, END)].ravel()) < 0).any()) or bool((samples[:, END + 1 :] < 0).any()):
        raise ChildFailed(f"tenant{index} sent {len(samples)} rows that are no sequence of requests")
    return samples


def _run_delay_share(answers: Answers) -> float:
    """The thread that waited longest for a core, as a share of the time measured: one late thread holds up all others
    at the next barrier. The worst tenant. NaN: not known."""
    shares = [answer["run_delay_s"] / answer["usage"]["wall_s"] for answer in answers.measured]
    return max(shares) if not any(math.isnan(share) for share in shares) else math.nan


def _host_shares(report: Mapping[str, Any], tenants: int, cores: int) -> dict[str, float]:
    """Shares of the device's core time while telemetry ticked. NaN: not known."""
    unknown = {"foreign_cpu_share": math.nan, "steal_share": math.nan, "busy_share": math.nan}
    if not report or len(report["t_ns"]) < 2:
        return unknown
    core_s = cores * clock.seconds(report["t_ns"][-1] - report["t_ns"][0])
    if core_s <= 0:
        return unknown
    busy_s = summary.increase(report, "host", "busy_s")
    own_s = sum(summary.increase(report, f"tenant{index}", "cpu_s") for index in range(tenants))
    return {
        "busy_share": busy_s / core_s,
        "foreign_cpu_share": max(0.0, (busy_s - own_s) / core_s) if not math.isnan(busy_s - own_s) else math.nan,
        "steal_share": summary.increase(report, "host", "steal_s") / core_s,
    }


def _gap_intervals(report: Mapping[str, Any], interval_s: float) -> float:
    if not report or len(report["t_ns"]) < 2:
        return math.nan
    return float(np.diff(report["t_ns"]).max()) / clock.NS_PER_S / interval_s


def _telemetry(answers: Answers, known: Mapping[str, float], interval_s: float) -> dict[str, float]:
    """The numbers that a trial's line carries; what is not known is absent. `known`: of host and GPU, found before."""
    report = answers.ticks.report
    usage = [answer["usage"] for answer in answers.measured]
    numbers: dict[str, float] = {
        **known,
        "cpu_s": sum(u["cpu_s"] for u in usage),
        "cores_used": sum(u["cpu_s"] / u["wall_s"] for u in usage),
        "involuntary_switches": sum(u["involuntary_switches"] for u in usage),
        "major_faults": sum(u["major_faults"] for u in usage),
        "conductor_cpu_share": answers.conductor_cpu_ns / (answers.end_ns - answers.open_ns),
        "peak_rss_bytes": float(max(answer["peak_rss_bytes"] for answer in answers.measured)),
    }
    if report:
        span_s = clock.seconds(report["t_ns"][-1] - report["t_ns"][0])
        numbers["ticks"] = float(len(report["t_ns"]))
        numbers["missed_ticks"] = float(report["missed"])
        numbers["interval_s"] = interval_s
        numbers["read_s"] = float(np.median(report["read_ns"])) / clock.NS_PER_S
        numbers["sampler_cpu_share"] = report["cpu_s"] / span_s if span_s > 0 else math.nan
        numbers["cpu_pressure_share"] = summary.increase(report, "host", "cpu_pressure_s") / span_s
        packages = [c for c in report["columns"] if c["metric"] == "energy_j" and c["subject"] != BOARD]
        for found in packages:
            numbers[f"energy_j_{found['subject']}"] = summary.increase(report, found["subject"], "energy_j")
    return {name: round(value, 6) for name, value in numbers.items() if math.isfinite(value)}


def _timing(answers: Answers) -> dict[str, float]:
    """Where a trial's time went, seconds. `overhead` is what is neither start, load, warm-up nor window."""
    load_s = max(answer["load_s"] for answer in answers.loaded)
    parts = {
        "start": clock.seconds(answers.loaded_ns - answers.begun_ns) - load_s,
        "load": load_s,
        "warmup": max(answer["warmup"]["seconds"] for answer in answers.ready),
        "window": clock.seconds(answers.end_ns - answers.open_ns),
    }
    total_s = clock.seconds(answers.finished_ns - answers.begun_ns)
    parts["overhead"] = total_s - sum(parts.values())
    parts["total"] = total_s
    return {name: round(value, 4) for name, value in parts.items()}
