"""Kubernetes: the pod of one tenant, as Pod Security's level "restricted" admits it."""

from __future__ import annotations

import math
import re
from typing import Any

from bench.emit.divided import sharing
from bench.emit.service import TMP_MIB, environment, memory_mib
from bench.errors import InfeasibleHere
from bench.judge.recommend.deployment import Deployment
from bench.judge.recommend.service import Service

NAME = "app.kubernetes.io/name"
PORT = "http"
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
START_LIMIT_S = 300
"""That a model may take to load; below the ten minutes after which a rollout counts as failed."""
PERIOD_S = 5
DRAIN_S = 5
"""That a pod goes on answering when it has to end: until then, requests may still be sent to it."""
STOP_LIMIT_S = 35
"""For all of its end, the drain included."""
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def pod_of(deployment: Deployment, service: Service, asked: str | None) -> dict[str, Any]:
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
    pod["terminationGracePeriodSeconds"] = STOP_LIMIT_S
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
    """On one node, as measured, as far as there is room, and then on the next: Kubernetes knows no wish for one device.
    So devices are filled one node after the other, and none takes more than its tenants: it offers no more."""
    term = {"labelSelector": {"matchLabels": {NAME: service.name}}, "topologyKey": "kubernetes.io/hostname"}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


def requested_cores(deployment: Deployment) -> float:
    """All of them where they are its own. Otherwise what a tenant used, or one: whoever asks for every core of the
    machine that was measured finds no room on another like it, whose node keeps some for itself."""
    if deployment.division == "cpuset":
        return deployment.threads
    used = 1.0 if deployment.cores_used is None else deployment.cores_used
    return math.ceil(min(used, deployment.threads) * 10) / 10


def _container(deployment: Deployment, service: Service, asked: str | None) -> dict[str, Any]:
    cores = f"{requested_cores(deployment):g}"
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
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_S}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
