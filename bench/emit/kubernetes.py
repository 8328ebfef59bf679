"""Kubernetes: a Deployment whose pods are the tenants of one device, and their Service.

It passes Pod Security's level "restricted". GPUs are asked for by the names that NVIDIA's device plugin gives them
(mixed MIG strategy), and nodes chosen by the labels of GPU feature discovery.
"""

from __future__ import annotations

import math
import re
from typing import Any

from bench.emit.divided import no_green_context, profiles, resource, sharing, tenant_profiles
from bench.emit.service import TMP_MIB, environment, measured, memory_mib, required
from bench.emit.text import comment, documents
from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.deployment import Deployment
from bench.judge.recommend.service import Service

NAME = "app.kubernetes.io/name"
PART = "app.kubernetes.io/component"
PORT = "http"
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
START_LIMIT_S = 300
"""That a model may take to load; below the ten minutes after which a rollout counts as failed."""
PERIOD_S = 5
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def emit(deployment: Deployment) -> str:
    """Raises ConfigError for what the need does not say, InfeasibleHere for a division that Kubernetes cannot make."""
    no_green_context(deployment)
    service = required(deployment)
    mib = memory_mib(deployment)
    groups = _groups(deployment)
    workloads = [
        _workload(deployment, service, part, count, asked, len(groups) > 1) for part, (count, asked) in groups.items()
    ]
    cores = _requested_cores(deployment) * deployment.tenants
    notes = [
        "Apply: kubectl apply -f FILE",
        f"The tenants together need {cores:.4g} CPUs and {mib * deployment.tenants} MiB that a node has free.",
        *_notes(deployment),
    ]
    return comment([*measured(deployment), *notes]) + documents([*workloads, _service(service)])


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


def _notes(deployment: Deployment) -> list[str]:
    if deployment.device_kind != "cuda":
        pinned = [
            "Cores of its own: only where the node's kubelet has --cpu-manager-policy=static; see docs/deploy.md.",
            "Nodes keep some cores for themselves (kube-reserved): one with exactly so many has no room for them all.",
        ]
        return pinned if deployment.division == "cpuset" else []
    notes = []
    if profiles(deployment):
        notes.append("The GPU has to be laid out before (--emit mig-parted), with migStrategy mixed.")
    if sharing(deployment):
        notes.append(
            "The GPU has to be shared before: --emit device-plugin. Where a node has several, the plugin spreads"
        )
        notes.append(f"pods over them; measured is that {deployment.tenants} share one.")
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
            "replicas": count,
            "selector": {"matchLabels": labels},
            # The device is full: a new pod finds room only where an old one has gone.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(deployment, service, asked)},
        },
    }


def _pod(deployment: Deployment, service: Service, asked: str | None) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": service.user_id,
            "runAsGroup": service.user_id,
            "fsGroup": service.user_id,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if asked is not None:
        if selector := _nodes(deployment):
            pod["nodeSelector"] = selector
        pod["tolerations"] = [TOLERATION]
    if deployment.tenants > 1:
        pod["affinity"] = {"podAffinity": _together(service)}
    pod["containers"] = [_container(deployment, service, asked)]
    pod["volumes"] = [{"name": "tmp", "emptyDir": {"sizeLimit": f"{TMP_MIB}Mi"}}]
    return pod


def _nodes(deployment: Deployment) -> dict[str, str]:
    """Labels of the nodes that have this GPU, divided so."""
    shared = sharing(deployment)
    labels = dict(shared.labels) if shared else {}
    if not deployment.product:
        return labels
    # As GPU feature discovery makes a label of it (internal/lm/resource.go of k8s-device-plugin).
    product = "-".join(re.sub(r"[^A-Za-z0-9-_. ]", "", deployment.product).split())
    if not LABEL_VALUE.fullmatch(product):
        raise InfeasibleHere(
            f"no node has a label for a GPU named {deployment.product[:60]!r}",
            where="the run's device", hint="measure on the GPU that is deployed to",
        )  # fmt: skip
    return {"nvidia.com/gpu.product": product, **labels}


def _together(service: Service) -> dict[str, Any]:
    """On one node, as measured, where there is room: Kubernetes knows no wish for one device."""
    term = {"labelSelector": {"matchLabels": {NAME: service.name}}, "topologyKey": "kubernetes.io/hostname"}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


def _requested_cores(deployment: Deployment) -> float:
    """All of them where they are its own. Otherwise what a tenant used, or one: whoever asks for every core of the
    machine that was measured finds no room on another like it, whose node keeps some for itself."""
    if deployment.division == "cpuset":
        return deployment.threads
    used = 1.0 if deployment.cores_used is None else deployment.cores_used
    return math.ceil(min(used, deployment.threads) * 10) / 10


def _container(deployment: Deployment, service: Service, asked: str | None) -> dict[str, Any]:
    cores = f"{_requested_cores(deployment):g}"
    memory = {"memory": f"{memory_mib(deployment)}Mi"}
    gpu = {} if asked is None else {asked: 1}
    probe = {"httpGet": {"path": service.health_path, "port": PORT}, "timeoutSeconds": 2}
    return {
        "name": "tenant",
        "image": service.image,
        # Kubernetes would replace $(NAME); $$ is one $.
        **({"command": [word.replace("$", "$$") for word in service.command]} if service.command else {}),
        "env": [{"name": name, "value": value} for name, value in environment(deployment).items()],
        "ports": [{"name": PORT, "containerPort": service.port}],
        "resources": {
            "requests": {"cpu": cores, **memory, **gpu},
            "limits": {"cpu": str(deployment.threads), **memory, **gpu},
        },
        "startupProbe": {**probe, "periodSeconds": PERIOD_S, "failureThreshold": START_LIMIT_S // PERIOD_S},
        "readinessProbe": {**probe, "periodSeconds": PERIOD_S, "failureThreshold": 2},
        "livenessProbe": {**probe, "periodSeconds": 2 * PERIOD_S, "timeoutSeconds": PERIOD_S, "failureThreshold": 3},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
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
