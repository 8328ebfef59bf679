"""From a candidate to what has to be set up for it. Pure; bench/emit writes it down for the tools that do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.candidates import Candidate, device_node, partition_node, whole
from bench.judge.recommend.deployment import Deployment
from bench.judge.recommend.need import Need

MIB = 2**20


def deployment(candidate: Candidate, need: Need, devices: int = 1, per_s: float | None = None) -> Deployment:
    """As it was measured, as far as run.json tells, on so many devices, each planned with per_s items/s. Raises
    ConfigError for a partition that is not bench's own, and InfeasibleHere where tenants of MPS may take more memory
    than there is."""
    run, kind = candidate.run, candidate.kind
    if kind is None:
        raise ConfigError(
            f"{candidate.division} is a partition of your own, and nobody but you knows how it is set up",
            where=str(run.folder),
            hint="deploy it as your partition's class does",
        )
    node, device = partition_node(run, candidate.division), device_node(run)
    _fits(candidate, whole(node.get("memory_limit_mib")))
    told = device.get("gpu")
    gpu = told if isinstance(told, dict) else {}
    rss, cores = _largest(candidate, "peak_rss_bytes"), _largest(candidate, "cores_used")
    on_a_gpu = run.plan.device_kind == "cuda"
    return Deployment(
        workload=run.plan.workload,
        optimization=candidate.optimization,
        partition=candidate.partition,
        division=kind,
        device=run.plan.device,
        device_kind="cuda" if on_a_gpu else "cpu",
        tenants=candidate.tenants,
        instances=candidate.layout.instances if candidate.layout else (),
        threads=_threads(candidate, node, device),
        cores_used=None if cores is None else cores / candidate.tenants,
        peak_rss_bytes=None if rss is None else round(rss),
        sm_share=_share(node) if kind == "green_context" else None,
        thread_percentage=whole(node.get("thread_percentage")),
        memory_limit_mib=whole(node.get("memory_limit_mib")),
        product=_text(gpu.get("product")) if on_a_gpu else "",
        pci_device_id=whole(gpu.get("pci_device_id")) if on_a_gpu else None,
        service=need.deploy,
        devices=devices,
        per_s=per_s,
        wanted_per_s=need.throughput_per_s,
    )


def _largest(candidate: Candidate, name: str) -> float | None:
    """Of all its trials; None where none of them has it."""
    found = (trial.telemetry.get(name) for trial in candidate.trials)
    return max((value for value in found if value is not None and 0 < value < 2**63), default=None)


def _fits(candidate: Candidate, limit_mib: int | None) -> None:
    """Limits that promise more than there is hold only until tenants take what they were promised."""
    total = candidate.memory.total
    if candidate.kind != "mps" or limit_mib is None or total is None or limit_mib * MIB * candidate.tenants <= total:
        return
    most = total // candidate.tenants // MIB
    raise InfeasibleHere(
        f"{candidate.tenants} tenants may take {limit_mib} MiB each, more than the {total // MIB} MiB that they share",
        where=f"partition {candidate.partition[:60]}",
        hint=f"measure it with partitions.{candidate.division}.memory_limit_mib={most}, or less",
    )


def _threads(candidate: Candidate, node: Mapping[str, Any], device: Mapping[str, Any]) -> int:
    """Of each tenant, as every partition of bench divides the host's cores; 1 where the record does not tell them."""
    if candidate.kind == "time_shared" and (said := whole(node.get("threads"))):
        return said
    cpus = device.get("cpus")
    return max(1, len(cpus) // candidate.tenants) if isinstance(cpus, list) else 1


def _share(node: Mapping[str, Any]) -> float | None:
    share = node.get("share")
    return float(share) if isinstance(share, (int, float)) and 0 < share <= 1 else None


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""
