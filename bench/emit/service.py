"""What runs there (`deploy:` of a need), and what each of its tenants gets of the host."""

from __future__ import annotations

import math

from bench.errors import ConfigError
from bench.judge.recommend.amounts import RATE_DIGITS, number
from bench.judge.recommend.deployment import Deployment
from bench.judge.recommend.service import Service

HEAD_ROOM = 1.2
"""Of memory, over what was measured."""
MIB = 2**20
SERVER_MIB = 256
"""For what a tenant of a run has not: the server that answers requests."""
TMP_MIB = 512
"""Of /tmp, in which programs may be executed: compilers of models put libraries there."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What tenants of a run are told, too."""
EXAMPLE = (
    "add to the need: deploy: {name: resnet, image: 'registry.example/resnet:1.4', port: 8000, health_path: /health}"
)


def required(deployment: Deployment) -> Service:
    """Raises ConfigError where the need does not say what runs."""
    if deployment.service is None:
        raise ConfigError("the need does not say what is deployed", where="deploy", hint=EXAMPLE)
    return deployment.service


def memory_mib(deployment: Deployment) -> int:
    """Of the host, for each tenant without its /tmp: what the need says, else what was measured with head-room, and
    room for a server. Raises ConfigError."""
    service = required(deployment)
    if service.memory_bytes is not None:
        return math.ceil(service.memory_bytes / MIB)
    if deployment.peak_rss_bytes is None:
        raise ConfigError(
            "how much memory a tenant needs was not measured", where="deploy.memory_gib",
            hint="say it in the need: deploy: {memory_gib: 4}",
        )  # fmt: skip
    return math.ceil(deployment.peak_rss_bytes * HEAD_ROOM / MIB) + SERVER_MIB


def environment(deployment: Deployment) -> dict[str, str]:
    """As measured: the numbers of threads and, for clients of MPS, their limits. The root is read-only, so HOME is
    /tmp."""
    told = {"HOME": "/tmp", **dict.fromkeys(THREADS, str(deployment.threads))}
    if deployment.thread_percentage is not None:
        told["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = str(deployment.thread_percentage)
    if deployment.memory_limit_mib is not None:
        told["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={deployment.memory_limit_mib}M"
    return told


def measured(deployment: Deployment) -> list[str]:
    """For the head of each file: which cell it is, what was measured, and how many devices that takes."""
    cell = " / ".join((deployment.workload, deployment.optimization, deployment.partition))
    rss = deployment.peak_rss_bytes
    memory = f", at most {math.ceil(rss / MIB)} MiB of memory" if rss else ""
    alone = deployment.tenants == 1
    tenants = "1 tenant alone, with" if alone else f"{deployment.tenants} tenants at the same time, each with"
    threads = "1 thread" if deployment.threads == 1 else f"{deployment.threads} threads"
    return [
        f"Written by bench recommend for {cell}",
        f"measured on {deployment.device}: {tenants} {threads}{memory}.",
        *_served(deployment),
    ]


def _served(deployment: Deployment) -> list[str]:
    wanted = deployment.wanted_per_s
    purpose = f" for {number(wanted, RATE_DIGITS)} items/s" if wanted else ""
    most = f": plan with at most {number(deployment.per_s, RATE_DIGITS)} items/s on each" if deployment.per_s else ""
    if deployment.devices > 1:
        return [f"It takes {deployment.devices:,} devices{purpose}{most}."]
    return [f"It takes one device{purpose}{most.removesuffix(' on each')}."] if most or purpose else []
