"""Kubernetes' Pod Security Standards, level "restricted" (with all of "baseline"), as its page lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def violations(pod: Mapping[str, Any]) -> list[str]:
    """Of a pod's spec; [] where it would be admitted."""
    found = []
    over_all = pod.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            found.append(f"host namespace: {name}")
    if over_all.get("sysctls"):
        found.append("sysctls")
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            found.append(f"volume type: {volume}")
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        found += [f"{container['name']}: {what}" for what in _of_container(container, over_all)]
    return found


def _of_container(container: Mapping[str, Any], over_all: Mapping[str, Any]) -> list[str]:
    context = container.get("securityContext", {})
    either = {**over_all, **context}
    capabilities = context.get("capabilities", {})
    probes = [container.get(f"{name}Probe", {}) for name in ("liveness", "readiness", "startup")]
    rules = {
        "privileged": not context.get("privileged"),
        "privilege escalation": context.get("allowPrivilegeEscalation") is False,
        "runs as root": either.get("runAsNonRoot") is True and either.get("runAsUser", 1) != 0,
        "seccomp": either.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        "capabilities kept": "ALL" in capabilities.get("drop", []),
        "capabilities added": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "proc mount": context.get("procMount", "Default") == "Default",
        "host ports": not any(port.get("hostPort") for port in container.get("ports", [])),
        "probes of other hosts": not any(probe.get("httpGet", {}).get("host") for probe in probes),
        "AppArmor": either.get("appArmorProfile", {}).get("type", "RuntimeDefault") != "Unconfined",
        "SELinux": not {"user", "role", "type"} & set(either.get("seLinuxOptions", {})),
    }
    return [name for name, kept in rules.items() if not kept]
