"""What an engine is asked for: one tenant's container, as the API's /containers/create takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TMP = "/tmp"
SELINUX = Path("/sys/fs/selinux/enforce")
NANO = 1_000_000_000


def selinux() -> str | None:
    """What tenants are told of SELinux where it is on: with its labels, they could not read what is bound."""
    return "label=disable" if SELINUX.exists() else None


@dataclass(frozen=True)
class Limits:
    """What a tenant is held to; see bench.isolation.container.Containers."""

    memory_bytes: int
    pids: int
    tmp_bytes: int
    shm_bytes: int
    cpus: tuple[int, ...] = ()
    cpu: float | None = None


@dataclass(frozen=True)
class TenantContainer:
    """`binds`: (source, target), read-only; `recursive`: with what is mounted below them, which another bind covers:
    without root, the kernel takes a folder with mounts below it in no other way. `user`: "uid:gid". `devices`: parts of
    the request that hand some out."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    binds: Sequence[tuple[Path, Path]]
    limits: Limits
    user: str
    labels: Mapping[str, str]
    recursive: bool = False
    user_namespace: str | None = None
    cgroup_parent: str | None = None
    devices: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        return {
            "Image": self.image,
            "Entrypoint": [self.command[0]],
            "Cmd": list(self.command[1:]),
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "User": self.user,
            "WorkingDir": TMP,
            "Labels": dict(self.labels),
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "OpenStdin": True,
            "StdinOnce": True,  # its input ends with whoever is attached: so does a tenant whose conductor is gone
            "NetworkDisabled": True,
            "HostConfig": self._host(),
        }

    def _host(self) -> dict[str, Any]:
        limits = self.limits
        host: dict[str, Any] = {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", *filter(None, [selinux()])],
            "Memory": limits.memory_bytes,
            "MemorySwap": limits.memory_bytes,  # no swap on top: a tenant that swaps measures the disk
            "PidsLimit": limits.pids,
            "ShmSize": limits.shm_bytes,
            "Tmpfs": {TMP: f"rw,exec,nosuid,nodev,mode=1777,size={limits.tmp_bytes}"},
            "LogConfig": {"Type": "none"},  # samples are megabytes; they go to whoever is attached, and nowhere else
            "Mounts": [
                {"Type": "bind", "Source": str(source), "Target": str(target), "ReadOnly": True}
                | ({} if self.recursive else {"BindOptions": {"NonRecursive": True}})
                for source, target in self.binds
            ],
            **self.devices,
        }
        if limits.cpus:
            host["CpusetCpus"] = ",".join(map(str, limits.cpus))
        if limits.cpu is not None:
            host["NanoCpus"] = round(limits.cpu * NANO)
        if self.cgroup_parent:
            host["CgroupParent"] = self.cgroup_parent
        if self.user_namespace:
            host["UsernsMode"] = self.user_namespace
        return host
