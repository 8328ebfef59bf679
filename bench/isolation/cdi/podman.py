"""Containers with CDI devices, by podman's own interface.

Podman takes such a device through its own API since 4.1, and through Docker's, which bench speaks otherwise, only in
late versions: earlier ones ignore the request and start the container without its device. So what is asked for in
Docker's words is said in podman's, and a word that has no counterpart here is refused, not dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

CREATE = "v4.0.0/libpod/containers/create"
PERIOD_US = 100_000
NANO = 1_000_000_000


class Untranslatable(Exception):
    """A word of Docker's that is not known here."""


def specification(body: Mapping[str, Any], devices: Sequence[str]) -> dict[str, Any]:
    """What /libpod/containers/create takes, for what Docker's /containers/create would. Raises Untranslatable."""
    told: dict[str, Any] = {"devices": [{"path": name} for name in devices], "stop_timeout": 0}
    for words, values in ((BODY, {**body, "HostConfig": None}), (HOST_CONFIG, body["HostConfig"])):
        for name, value in values.items():
            if value in (None, False, 0, "", [], {}):
                continue
            if name not in words:
                raise Untranslatable(f"{name} is not known to be said to podman")
            _merge(told, words[name](value))
    return told


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _merge(into.setdefault(name, {}), value)
        elif isinstance(value, list):
            into[name] = [*into.get(name, []), *value]
        else:
            into[name] = value


def _environment(values: Sequence[str]) -> dict[str, Any]:
    return {"env": dict(value.split("=", 1) for value in values)}


def _mounts(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"mounts": [_bind(value) for value in values]}


def _bind(value: Mapping[str, Any]) -> dict[str, Any]:
    alone = value.get("BindOptions") == {"NonRecursive": True}
    unknown = value.keys() - {"Type", "Source", "Target", "ReadOnly", *(["BindOptions"] if alone else [])}
    if unknown or value["Type"] != "bind":
        raise Untranslatable(f"{dict(value)} is not known to be said to podman")
    options = ["bind" if alone else "rbind", "rprivate", "ro" if value.get("ReadOnly") else "rw"]
    return {"type": "bind", "source": value["Source"], "destination": value["Target"], "options": options}


def _tmpfs(values: Mapping[str, str]) -> dict[str, Any]:
    mounts = [
        {"type": "tmpfs", "source": "tmpfs", "destination": path, "options": ["rprivate", *options.split(",")]}
        for path, options in values.items()
    ]
    return {"mounts": mounts}


def _security(values: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for value in values:
        if value == "no-new-privileges":
            told["no_new_privileges"] = True
        elif value == "label=disable":
            told["selinux_opts"] = ["disable"]
        else:
            raise Untranslatable(f"{value} is not known to be said to podman")
    return told


def _network(value: str) -> dict[str, Any]:
    if value != "none":
        raise Untranslatable(f"NetworkMode {value} is not known to be said to podman")
    return {"netns": {"nsmode": "none"}}


def _limits(**resources: Any) -> dict[str, Any]:
    return {"resource_limits": resources}


def _nothing(value: Any) -> dict[str, Any]:
    """Podman settles it when somebody attaches, or by its network."""
    return {}


Words = Mapping[str, Callable[[Any], dict[str, Any]]]
BODY: Words = {
    "Image": lambda value: {"image": value},
    "Entrypoint": lambda value: {"entrypoint": list(value)},
    "Cmd": lambda value: {"command": list(value)},
    "Env": _environment,
    "User": lambda value: {"user": value},
    "WorkingDir": lambda value: {"work_dir": value},
    "Labels": lambda value: {"labels": dict(value)},
    "OpenStdin": lambda value: {"stdin": True},
    "AttachStdin": _nothing,
    "AttachStdout": _nothing,
    "AttachStderr": _nothing,
    "StdinOnce": _nothing,
    "NetworkDisabled": _nothing,
}
HOST_CONFIG: Words = {
    "NetworkMode": _network,
    "ReadonlyRootfs": lambda value: {"read_only_filesystem": True},
    "CapDrop": lambda value: {"cap_drop": list(value)},
    "SecurityOpt": _security,
    "Memory": lambda value: _limits(memory={"limit": value}),
    "MemorySwap": lambda value: _limits(memory={"swap": value}),
    "PidsLimit": lambda value: _limits(pids={"limit": value}),
    "CpusetCpus": lambda value: _limits(cpu={"cpus": value}),
    "NanoCpus": lambda value: _limits(cpu={"period": PERIOD_US, "quota": value * PERIOD_US // NANO}),
    "ShmSize": lambda value: {"shm_size": value},
    "Tmpfs": _tmpfs,
    "LogConfig": lambda value: {"log_configuration": {"driver": value["Type"]}},
    "Mounts": _mounts,
    "CgroupParent": lambda value: {"cgroup_parent": value},
    "UsernsMode": lambda value: {"userns": {"nsmode": value}},
}
