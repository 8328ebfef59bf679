"""Containers of runs that are gone, and what they leave in the system: found by their label, and removed."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.isolation.containers.engine import Engine
from bench.isolation.containers.owner import Owner

TENANT = "bench=tenant"
OWNER = "bench.owner"
CGROUPS = Path("/sys/fs/cgroup")
END_LIMIT_S = 5.0


def labels(owner: Owner) -> dict[str, str]:
    name, value = TENANT.split("=")
    return {name: value, OWNER: str(owner)}


def remove_dead(engine: Engine) -> int:
    """Remove what dead owners have left; how many containers that were. Raises EngineFailed."""
    found = [container for container in engine.labelled(TENANT) if _is_left(container)]
    for container in found:
        engine.remove(container["Id"])
    _remove_cgroups()
    return len(found)


def remove_own(engine: Engine, owner: Owner) -> None:
    """Remove every container of `owner`. Raises EngineFailed."""
    for container in engine.labelled(f"{OWNER}={owner}"):
        engine.remove(container["Id"])


def _is_left(container: dict[str, Any]) -> bool:
    owner = Owner.parse(str((container.get("Labels") or {}).get(OWNER, "")))
    if owner is None:
        return False
    # What runs was started on this boot, or on another machine that shares the socket: then its owner may live there.
    return owner.dead or (not owner.on_this_boot and container.get("State") != "running")


def remove_cgroup(parent: str) -> None:
    """Remove the folders that a service of ours has put its containers into, once nobody is in them any more: the
    process that has watched a container (conmon) tidies up for a moment after it."""
    for hierarchy in (CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())):
        folder = hierarchy / parent.lstrip("/")
        folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())] if folder.is_dir() else []
        for path in sorted(folders, reverse=True):
            _await_end(path)
            with suppress(OSError):  # somebody is in it all the same, or it is not ours to remove
                path.rmdir()


def _await_end(cgroup: Path) -> None:
    with suppress(OSError):
        for pid in (cgroup / "cgroup.procs").read_text().split():
            fd = os.pidfd_open(int(pid))
            try:
                select.select([fd], [], [], END_LIMIT_S)
            finally:
                os.close(fd)


def _remove_cgroups() -> None:
    """Those of dead owners: they carry their owner's name."""
    names = {path.name for pattern in ("bench-*", "*/bench-*") for path in CGROUPS.glob(pattern)}
    for name in names:
        owner = Owner.parse(name.removeprefix("bench-"))
        if owner and owner.dead:
            remove_cgroup(name)
