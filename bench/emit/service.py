"""What runs there (`deploy:` of a need): checked, and what each of its tenants gets of the host."""

from __future__ import annotations

import math
import re

from bench.errors import ConfigError
from bench.judge.recommend.deployment import Deployment, Service

HEAD_ROOM = 1.2
"""Of memory, over what was measured."""
MIB = 2**20
TMP_GIB = 2
"""Of /tmp, in which programs may be executed: compilers of models put libraries there."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What tenants of a run are told, too."""
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
IMAGE = re.compile(
    rf"([A-Za-z0-9.-]+(:\d+)?/)?{COMPONENT}(/{COMPONENT})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?"
)
HEALTH_PATH = re.compile(r"/[!-~]*")
EXAMPLE = (
    "add to the need: deploy: {name: resnet, image: 'registry.example/resnet:1.4', port: 8000, health_path: /health}"
)


def required(deployment: Deployment) -> Service:
    """Raises ConfigError where the need does not say what runs, or says what no deployment can hold."""
    service = deployment.service
    if service is None:
        raise ConfigError("the need does not say what is deployed", where="deploy", hint=EXAMPLE)
    for field, pattern, value, hint in (
        ("name", DNS_LABEL, service.name, "at most 63 of a-z, 0-9 and -, a letter first: resnet-fp16"),
        ("namespace", DNS_LABEL, service.namespace, "at most 63 of a-z, 0-9 and -, a letter first: inference"),
        ("image", IMAGE, service.image, "an image with its tag or digest: registry.example/resnet:1.4"),
        ("health_path", HEALTH_PATH, service.health_path, "a path that answers 200 when it is ready: /health"),
    ):
        if not pattern.fullmatch(value):
            raise ConfigError(f"{value[:60]!r} is no {field} that can be deployed", where=f"deploy.{field}", hint=hint)
    if ":" not in service.image.rpartition("/")[2]:
        raise ConfigError(
            f"{service.image} names no tag and no digest, so it may be another image tomorrow",
            where="deploy.image", hint=f"say {service.image}:1.4, or @sha256:...",
        )  # fmt: skip
    if not 1 <= service.port <= 65535:
        raise ConfigError(f"{service.port} is no port", where="deploy.port", hint="1 to 65535: 8000")
    if not 1 <= service.user_id < 2**31:
        raise ConfigError(f"user {service.user_id} is root, or nobody", where="deploy.user_id", hint="10001")
    if any("\0" in word for word in service.command):
        raise ConfigError("a word holds a zero byte", where="deploy.command", hint="leave it out")
    return service


def memory_mib(deployment: Deployment) -> int:
    """Of the host, for each tenant: what the need says, else what was measured with head-room. Raises ConfigError."""
    service = required(deployment)
    if service.memory_bytes is not None:
        wanted = float(service.memory_bytes)
    elif deployment.peak_rss_bytes is not None:
        wanted = deployment.peak_rss_bytes * HEAD_ROOM
    else:
        raise ConfigError(
            "how much memory a tenant needs was not measured", where="deploy.memory_gib",
            hint="say it in the need: deploy: {memory_gib: 4}",
        )  # fmt: skip
    mib = math.ceil(wanted / MIB)
    if mib < 1:
        raise ConfigError(f"a tenant cannot have {wanted:g} bytes", where="deploy.memory_gib", hint="4")
    return mib


def cpu_limit(deployment: Deployment) -> int:
    """Cores that a tenant may use."""
    return max(deployment.cpus, deployment.threads)


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
    """For the head of each file: which cell it is, and what was measured."""
    cell = " / ".join((deployment.workload, deployment.optimization, deployment.partition))
    rss = deployment.peak_rss_bytes
    memory = f", at most {math.ceil(rss / MIB)} MiB of memory" if rss else ""
    alone = deployment.tenants == 1
    tenants = "1 tenant alone, with" if alone else f"{deployment.tenants} tenants at the same time, each with"
    threads = "1 thread" if deployment.threads == 1 else f"{deployment.threads} threads"
    return [
        f"Written by bench recommend for {cell}",
        f"measured on {deployment.device}: {tenants} {threads}{memory}.",
    ]
