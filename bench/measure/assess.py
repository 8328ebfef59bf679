"""From what the tenants said to a trial's numbers and its gate. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import PydanticSerializationError, to_json

from bench import clock, wire
from bench.contract import BOARD, Protocol, Slot
from bench.measure import gate, gate_ceiling, gate_gpu, gpu_numbers, steady, summary
from bench.measure.ceilings import Ceilings
from bench.measure.link import ChildFailed
from bench.measure.loop import GPU_COLUMNS, HOST_COLUMNS
from bench.measure.summary import END, GPU, START, Samples, Window
from bench.measure.trial import Answers
from bench.measure.work import Work
from bench.records import Gate, Latency

PROOF_LIMIT_BYTES = 64 * 2**10
"""Of a tenant's proof as it is stored, one in each trial's line. Those of bench's runtimes are of a few KiB."""
PER_ITEM = ("energy_per_item", "energy_estimate")
CLOCKS_NS, CLOCKS_SHARE = 1_000_000, 0.01
"""By how much a request may last longer by the GPU's clock than by the host's: their speeds, and an event's resolution,
differ by far less."""


@dataclass(frozen=True)
class Assessed:
    """The numbers of a trial that was measured, whether or not the gate found it valid."""

    samples: Sequence[Samples]
    window: Window
    throughput_per_s: tuple[float, ...]
    neighbour_throughput_per_s: tuple[float, ...]
    latency_ms: Latency | None
    tenant_latency_ms: tuple[Latency, ...]
    tenant_wall_p99_ms: tuple[float, ...]
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

    Raises ChildFailed for samples and proofs that cannot be.
    """
    samples = [_samples(slot, answer) for slot, answer in zip(answers.slots, answers.measured, strict=True)]
    proofs = [
        proof_of(slot, proved, measured)
        for slot, proved, measured in zip(answers.slots, answers.proved, answers.measured, strict=True)
    ]
    beside = [_samples(tenant.slot, answer) for tenant, answer in answers.neighbours]
    window = summary.common_window(samples, answers.open_ns, beside)
    throughput_per_s = summary.throughput_per_s(window, batch_size)
    reached = [
        gate_ceiling.reached(work, ceilings, slot, proof, items_per_s, batch_size)
        for slot, proof, items_per_s in zip(answers.slots, proofs, throughput_per_s, strict=True)
    ]
    report = answers.ticks.report
    shares = host_shares(report, len(answers.slots) + len(beside), cores)
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
        proved_precisions=[proof["precision"] for proof in proofs],
        probe_distances=[answer["probe_distance"] for answer in answers.proved],
        gpu=gate_gpu.evidence(report, window, first_clock_hz) if any(slot.gpu for slot in answers.slots) else None,
        reached=reached,
    )
    instances = [slot.gpu_instance for slot in answers.slots]
    gpu = gpu_numbers.numbers(report, window, throughput_per_s, instances)
    if beside:  # the board's energy went into what they did as well, and nobody counts their items as its own
        gpu = {name: value for name, value in gpu.items() if not name.startswith(PER_ITEM)}
    gpu["queueing_share"] = summary.queueing_share(window)
    limits = {"flops_per_item": work.flops_per_item, **gate_ceiling.numbers(reached)}
    return Assessed(
        samples=samples,
        window=window,
        throughput_per_s=throughput_per_s,
        neighbour_throughput_per_s=_beside(answers, beside, window),
        latency_ms=summary.latency(window),
        tenant_latency_ms=summary.tenant_latencies(window),
        tenant_wall_p99_ms=summary.wall_p99_ms(samples, window),
        gate=gate.judge(evidence),
        proof=proofs[0],
        telemetry=_telemetry(answers, {**shares, **gpu, **limits}, interval_s),
        timing_s=_timing(answers),
    )


def _beside(answers: Answers, samples: Sequence[Samples], window: Window) -> tuple[float, ...]:
    """Items per second of each neighbour in the window of the others."""
    cut = summary.cut(samples, window.start_ns, window.end_ns)
    sizes = [tenant.prepared.task.batch_size for tenant, _ in answers.neighbours]
    pairs = zip(sizes, cut.requests, cut.spans_ns, strict=True)
    return tuple(summary.rate_per_s(size, requests, span_ns) for size, requests, span_ns in pairs)


def _samples(slot: Slot, answer: Mapping[str, Any]) -> Samples:
    """A tenant's samples, checked: a tenant is not trusted to be well."""
    name = f"tenant{slot.index}"
    try:
        flat, columns = wire.unpack_integers(answer["samples"]), int(answer["columns"])
    except (ValueError, TypeError, KeyError) as error:
        raise ChildFailed(f"{name} sent samples that cannot be read: {error}") from error
    wanted = GPU_COLUMNS if slot.executes_on == "cuda" else HOST_COLUMNS
    if columns != wanted:
        raise ChildFailed(f"{name} sent rows of {columns} numbers, and a request on {slot.executes_on} has {wanted}")
    if not len(flat) or len(flat) % columns:
        raise ChildFailed(f"{name} sent {len(flat)} numbers that are no rows of {columns}")
    samples = flat.reshape(-1, columns)
    if bool((np.diff(samples[:, (START, END)].ravel()) < 0).any()) or bool((samples[:, END + 1 :] < 0).any()):
        raise ChildFailed(f"{name} sent {len(samples)} rows that are no sequence of requests")
    if columns == GPU_COLUMNS:
        _check_clocks(name, samples)
    return samples


def _check_clocks(name: str, samples: Samples) -> None:
    """A GPU's time for a request is some time, and lies within the host's."""
    host_ns = samples[:, END] - samples[:, START]
    wrong = (samples[:, GPU] <= 0) | (samples[:, GPU] > host_ns * (1 + CLOCKS_SHARE) + CLOCKS_NS)
    if wrong.any():
        row = int(wrong.argmax())
        gpu_ms, host_ms = samples[row, GPU] / 1e6, host_ns[row] / 1e6
        raise ChildFailed(
            f"{name} sent times that cannot be: of request {row} its events say {gpu_ms:.3f} ms, the host's clock "
            f"{host_ms:.3f} ms"
        )


def proof_of(slot: Slot, proved: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """A tenant's proof as it is stored, checked to be something that can be."""
    name = f"tenant{slot.index}"
    proof = {**proved["proof"], "issued": measured.get("issued", {})}
    try:
        size_bytes = len(to_json({"proof": proof}))
    except PydanticSerializationError as error:
        raise ChildFailed(f"{name} sent a proof that cannot be stored: {error}") from error
    if size_bytes > PROOF_LIMIT_BYTES:
        raise ChildFailed(f"{name} sent a proof of {size_bytes} bytes, and {PROOF_LIMIT_BYTES} are the limit")
    return proof


def _run_delay_share(answers: Answers) -> float:
    """The thread that waited longest for a core, as a share of the time measured: one late thread holds up all others
    at the next barrier. The worst tenant. NaN: not known."""
    shares = [answer["run_delay_s"] / answer["usage"]["wall_s"] for answer in answers.measured]
    return max(shares) if not any(math.isnan(share) for share in shares) else math.nan


def host_shares(report: Mapping[str, Any], tenants: int, cores: int) -> dict[str, float]:
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
