"""Kubernetes: a Deployment whose pods are the tenants of all devices, their Service, and how many may be away at once.

It passes Pod Security's level "restricted". GPUs are asked for by the names that NVIDIA's device plugin gives them
(mixed MIG strategy), and nodes chosen by the labels of GPU feature discovery.
"""

from __future__ import annotations

from typing import Any

from bench.emit.divided import no_green_context, profiles, resource, sharing, tenant_profiles
from bench.emit.kubernetes_pod import NAME, PORT, pod_of, requested_cores
from bench.emit.service import measured, memory_mib, required
from bench.emit.text import comment, documents
from bench.errors import ConfigError
from bench.judge.recommend.deployment import Deployment
from bench.judge.recommend.service import Service

PART = "app.kubernetes.io/component"


def emit(deployment: Deployment) -> str:
    """Raises ConfigError for what the need does not say, InfeasibleHere for a division that Kubernetes cannot make."""
    no_green_context(deployment)
    service = required(deployment)
    mib = memory_mib(deployment)
    groups = _groups(deployment)
    workloads = [
        _workload(deployment, service, part, count, asked, len(groups) > 1) for part, (count, asked) in groups.items()
    ]
    cores = requested_cores(deployment) * deployment.tenants
    memory = f"{mib * deployment.tenants} MiB"
    notes = [
        "Apply: kubectl apply -f FILE",
        *_spread(deployment),
        f"A node has room for the tenants of a device where {cores:.4g} CPU and {memory} are free.",
        *_usage(deployment, service),
        *_notes(deployment),
    ]
    budget = [_budget(service)] if deployment.all_tenants > 1 else []
    return comment([*measured(deployment), *notes]) + documents([*workloads, *budget, _service(service)])


def _groups(deployment: Deployment) -> dict[str, tuple[int, str | None]]:
    """Component -> how many tenants, and the resource that each of them asks for one of (None: a CPU's)."""
    if deployment.device_kind != "cuda":
        return {"cpu": (deployment.tenants, None)}
    shared = sharing(deployment)
    if shared is not None:
        return {"gpu": (deployment.tenants, shared.advertised)}
    if deployment.division == "mig":
        return {f"mig-{name}": (count, resource(name)) for name, count in tenant_profiles(deployment).items()}
    return {"gpu": (deployment.tenants, resource(next(iter(profiles(deployment)), None)))}


def _spread(deployment: Deployment) -> list[str]:
    """Whoever reads "devices: 3" in the answer looks for them here."""
    if deployment.devices == 1:
        return []
    each = "1 on each device" if deployment.tenants == 1 else f"{deployment.tenants} on each device"
    lines = [f"This file deploys all of them: {deployment.all_tenants} pods, {each}."]
    if deployment.device_kind != "cuda":
        lines.append("A device is a machine like the one that was measured; a larger one takes the pods of several.")
    return lines


def _usage(deployment: Deployment, service: Service) -> list[str]:
    namespace = f"The namespace {service.namespace} has to be there: kubectl create namespace {service.namespace}"
    alone = (
        "A rollout starts the new pod before the old one ends: it waits where no second device is free. To end the old",
        "one first, without an answer meanwhile: maxSurge: 0, maxUnavailable: 1.",
    )
    return [
        *([namespace] if service.namespace != "default" else []),
        *(alone if deployment.all_tenants == 1 else ("A rollout replaces one tenant after the other.",)),
    ]


def _notes(deployment: Deployment) -> list[str]:
    if deployment.device_kind != "cuda":
        pinned = [
            "Cores of its own: only where the node's kubelet has --cpu-manager-policy=static; see docs/deploy.md.",
            "Nodes keep some cores for themselves (kube-reserved): one with exactly so many has no room for them all.",
        ]
        return pinned if deployment.division == "cpuset" else []
    notes = []
    if profiles(deployment):
        notes.append("Each GPU has to be laid out before (--emit mig-parted), with migStrategy mixed.")
    if sharing(deployment):
        notes.append(
            f"GPUs have to be shared before (--emit device-plugin): no more than {deployment.tenants} pods on each."
        )
        notes.append("Where a node has more of them than are needed, the plugin spreads the pods over all of them.")
    if deployment.division == "mps":
        notes.append("All clients of MPS on a GPU have to run as one user: see docs/deploy.md.")
    return notes


def _workload(
    deployment: Deployment, service: Service, part: str, count: int, asked: str | None, several: bool
) -> dict[str, Any]:
    labels = {NAME: service.name, PART: part.replace("+", ".")}
    # There is 1g.24gb+me and 1g.24gb-me.
    name = f"{service.name}-{part.replace('+', '-with-').replace('.', '-')}" if several else service.name
    if len(name) > 63:
        raise ConfigError(f"{name} is longer than 63", where="deploy.name", hint="a shorter name: resnet")
    cell = f"{deployment.workload} / {deployment.optimization} / {deployment.partition}"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": service.namespace,
            "labels": labels,
            "annotations": {"bench/measured-as": cell[:500]},
        },
        "spec": {
            "replicas": count * deployment.devices,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _rollout(deployment)},
            "template": {"metadata": {"labels": labels}, "spec": pod_of(deployment, service, asked)},
        },
    }


def _rollout(deployment: Deployment) -> dict[str, int]:
    """Where tenants fill the devices, a new pod finds room only where an old one has gone. One alone would take the
    service with it: its successor waits for another device, and it stays until then."""
    return {"maxSurge": 1, "maxUnavailable": 0} if deployment.all_tenants == 1 else {"maxSurge": 0, "maxUnavailable": 1}


def _budget(service: Service) -> dict[str, Any]:
    """For nodes that are drained: one tenant after the other."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": service.name, "namespace": service.namespace, "labels": {NAME: service.name}},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {NAME: service.name}}},
    }


def _service(service: Service) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "namespace": service.namespace, "labels": {NAME: service.name}},
        "spec": {
            "selector": {NAME: service.name},
            "ports": [{"name": PORT, "port": service.port, "targetPort": PORT}],
        },
    }
