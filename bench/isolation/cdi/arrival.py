"""Whether a container has the device that it was to get, asked inside it.

An engine that does not understand a request for a device may start the container without it and report success. So the
conductor says what has to be there, in the tenant's environment, and the tenant looks.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.devices.cdi_specification import Described

EXPECTED = "BENCH_EXPECTED_DEVICE"
DEV = Path("/dev")
GPU_NODE = re.compile(r"nvidia\d+")
VISIBLE = "CUDA_VISIBLE_DEVICES"


class NotArrived(Exception):
    """The container has not got its device, or has got more than that."""


def expected(uuid: str, described: Described | None, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """For the environment of a tenant that is to get this device, as it is described, or at least this environment."""
    content = {
        "uuid": uuid,
        "nodes": sorted(node.path for node in described.edits.nodes) if described else [],
        "environment": {
            **(dict(variable.split("=", 1) for variable in described.edits.env) if described else {}),
            **(environment or {}),
        },
    }
    return {EXPECTED: json.dumps(content)}


def check_arrival(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> None:
    """(tenant) First of all: device nodes and environment. Outside of containers there is nothing to check. Raises
    NotArrived."""
    if told := _told(environment):
        _check_environment({VISIBLE: told["uuid"], **told["environment"]}, environment or os.environ)
        _check_nodes({Path(path) for path in told["nodes"]}, root)


def check_cuda_arrival(environment: Mapping[str, str] | None = None) -> None:
    """(tenant) What CUDA sees, once a model is loaded: asked earlier, it would start CUDA, and loading would seem to
    take less. Raises NotArrived."""
    told = _told(environment)
    if not told:
        return
    import torch

    uuid, count = told["uuid"], torch.cuda.device_count()
    if count != 1:
        raise NotArrived(f"CUDA sees {count} devices in this container, and it was to get {uuid}")
    found = _bare(torch.cuda.get_device_properties(0).uuid)
    if found != _bare(uuid):
        raise NotArrived(f"CUDA sees the device {found} in this container, and it was to get {uuid}")


def _told(environment: Mapping[str, str] | None) -> dict[str, Any]:
    return dict(json.loads((os.environ if environment is None else environment).get(EXPECTED, "{}")))


def _check_environment(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise NotArrived(f"{name} should be {value} in this container, and is {found.get(name, 'not set')}")


def _check_nodes(expected: set[Path], root: Path) -> None:
    for path in sorted(expected):
        if not _is_device(root / path.relative_to("/")):
            raise NotArrived(f"there is no device node {path} in this container")
    surplus = sorted(
        str(path)
        for folder in {path.parent for path in expected}
        for path in _others(folder, root)
        if path not in expected
    )
    if surplus:
        raise NotArrived(f"this container has {', '.join(surplus)}, which belong to another device")


def _others(folder: Path, root: Path) -> list[Path]:
    """All device nodes beside an expected one; of /dev itself only GPUs, as there are terminals and the like."""
    paths = [folder / path.name for path in (root / folder.relative_to("/")).iterdir() if _is_device(path)]
    return [path for path in paths if folder != DEV or GPU_NODE.fullmatch(path.name)]


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _bare(uuid: Any) -> str:
    """Libraries write it with and without the kind of device before it."""
    return str(uuid).removeprefix("GPU-").removeprefix("MIG-").lower()
