"""How a GPU is divided, in the words of NVIDIA's device plugin for Kubernetes: resources, and who shares them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.devices.mig.parted import PROFILE
from bench.errors import InfeasibleHere
from bench.judge.recommend.deployment import Deployment

GPU = "nvidia.com/gpu"
MOST_CLIENTS = 48
"""Of MPS, that the plugin accepts (cmd/mps-control-daemon/mps/device.go)."""


@dataclass(frozen=True)
class Sharing:
    """`replicas` tenants of each device that `resource` counts. The plugin offers them under a name of their own, so
    that nobody who asks for a whole device gets a shared one."""

    strategy: Literal["timeSlicing", "mps"]
    resource: str
    replicas: int

    @property
    def advertised(self) -> str:
        return f"{self.resource}.shared"

    @property
    def labels(self) -> Mapping[str, str]:
        """Of the nodes that are divided so, by GPU feature discovery."""
        strategy = {"timeSlicing": "time-slicing", "mps": "mps"}[self.strategy]
        return {f"{self.resource}.sharing-strategy": strategy, f"{self.resource}.replicas": str(self.replicas)}


def needs_gpu(deployment: Deployment, form: str) -> None:
    """Raises InfeasibleHere for CPUs, and for divisions that only a program itself can make."""
    if deployment.device_kind != "cuda":
        what = f"{form} lays out GPUs, and {deployment.device} is a CPU"
        raise _infeasible(deployment, what, "--emit kubernetes, or --emit docker")
    no_green_context(deployment)


def no_green_context(deployment: Deployment) -> None:
    if deployment.division == "green_context":
        raise _infeasible(
            deployment,
            "a green context is made by the program inside its own process: no configuration can give it one",
            "create it in the service (torch.cuda.green_contexts), or take a measured partition with mig or mps",
        )


def profiles(deployment: Deployment) -> Mapping[str, int]:
    """MIG profile -> how many instances, largest first. Raises InfeasibleHere for a name that is none."""
    names = Counter(instance.profile for instance in deployment.instances)
    for name in names:
        match = PROFILE.fullmatch(name)
        if match is None or match["compute"]:
            raise _infeasible(deployment, f"{name[:40]!r} is no GPU instance's profile", "measure it with bench mig")
    return dict(sorted(names.items(), key=lambda pair: [-int(part) for part in re.findall(r"\d+", pair[0])]))


def tenant_profiles(deployment: Deployment) -> Mapping[str, int]:
    """Of a MIG layout: profile -> how many tenants have one. Slices may have stayed empty beside tenants that were
    measured. Raises InfeasibleHere where nobody knows which."""
    counts, tenants = profiles(deployment), deployment.tenants
    if sum(counts.values()) == tenants:
        return counts
    if len(counts) != 1 or sum(counts.values()) < tenants:
        raise _infeasible(
            deployment,
            f"{tenants} tenants were measured in a layout of {sum(counts.values())} slices, and not which had which",
            "recommend from a run in which each slice has a tenant",
        )
    return dict.fromkeys(counts, tenants)


def resource(profile: str | None) -> str:
    """As the plugin's mixed strategy names it: "nvidia.com/mig-1g.10gb.me"; None: the whole GPU."""
    return GPU if profile is None else f"nvidia.com/mig-{profile.replace('+', '.')}"


def sharing(deployment: Deployment) -> Sharing | None:
    """Who shares one device; None: nobody. Raises InfeasibleHere for what the plugin cannot do."""
    if deployment.division not in ("mps", "time_shared"):
        return None
    within = next(iter(profiles(deployment)), None)
    if deployment.division == "time_shared":
        return None if deployment.tenants == 1 else Sharing("timeSlicing", resource(within), deployment.tenants)
    _suits_plugin(deployment, within)
    return Sharing("mps", GPU, deployment.tenants)


def _suits_plugin(deployment: Deployment, within: str | None) -> None:
    tenants, limit = deployment.tenants, deployment.thread_percentage
    most = 100 // tenants
    docker = "--emit docker can start it, or measure what the plugin does"
    if within is not None:
        raise _infeasible(
            deployment, "NVIDIA's device plugin does not share a MIG slice through MPS", "take time_shared within it"
        )
    if not 2 <= tenants <= MOST_CLIENTS:
        raise _infeasible(deployment, f"NVIDIA's device plugin shares among 2 to {MOST_CLIENTS}, not {tenants}", docker)
    if limit is None or limit > most:
        told = "without a limit" if limit is None else f"with {limit} %"
        raise _infeasible(
            deployment,
            f"NVIDIA's device plugin lets each of {tenants} use {most} % of the threads at most, and this was measured "
            f"{told}",
            f"{docker}: partitions.mps.thread_percentage={most}",
        )


def _infeasible(deployment: Deployment, what: str, hint: str) -> InfeasibleHere:
    return InfeasibleHere(what, where=f"partition {deployment.partition[:60]}", hint=hint)
