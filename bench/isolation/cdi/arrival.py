"""Whether a container has the device that it was to get, asked inside it.

An engine that does not understand a request for a device may start the container without it and report success. So the
conductor says what has to be there, in the tenant's environment, and the tenant looks.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import stat
import uuid as uuids
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

EXPECTED = "BENCH_EXPECTED_DEVICE"
DEV = Path("/dev")
CAPS = DEV / "nvidia-caps"
DRI = DEV / "dri"
"""Nodes for graphics, which are for members of groups, and which nothing that computes opens."""
ORDINARY = {CAPS / "nvidia-cap1", CAPS / "nvidia-cap2"}
"""To configure MIG and to watch it: of no device."""
GPU_NODE = re.compile(r"nvidia\d+")
LIBCUDA = "libcuda.so.1"
NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE"""
VISIBLE = "CUDA_VISIBLE_DEVICES"


class NotArrived(Exception):
    """The container has not got its device, or has got more than that."""


def expected(uuid: str, nodes: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """For the environment of a tenant that is to get this device by these nodes and variables."""
    content = {"uuid": uuid, "nodes": sorted(nodes), "environment": dict(environment)}
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
    uuid, found = told["uuid"], _seen_by_cuda()
    if len(found) != 1:
        raise NotArrived(f"CUDA sees {len(found)} devices in this container, and it was to get {uuid}")
    if found[0] != _bare(uuid):
        raise NotArrived(f"CUDA sees the device {found[0]} in this container, and it was to get {uuid}")


def _seen_by_cuda() -> list[str]:
    """UUIDs by the driver's own word: of a MIG device it is the MIG device's, where torch may tell the GPU's."""
    try:
        cuda = ctypes.CDLL(LIBCUDA)
        if (status := cuda.cuInit(0)) == NO_DEVICE:
            return []
        _succeeds("cuInit", status)
        count = ctypes.c_int()
        _succeeds("cuDeviceGetCount", cuda.cuDeviceGetCount(ctypes.byref(count)))
        return [_uuid(cuda, index) for index in range(count.value)]
    except (OSError, AttributeError) as error:  # no library, or one that is older than CUDA 11.4
        raise NotArrived(f"CUDA cannot be asked which device this container has: {error}") from error


def _uuid(cuda: ctypes.CDLL, index: int) -> str:
    device, content = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    _succeeds("cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(device), index))
    _succeeds("cuDeviceGetUuid_v2", cuda.cuDeviceGetUuid_v2(content, device))
    return str(uuids.UUID(bytes=bytes(content)))


def _succeeds(call: str, status: int) -> None:
    if status:
        raise NotArrived(f"CUDA cannot be asked which device this container has: {call} returns {status}")


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
        _check_open(path, root)
    surplus = sorted(
        str(path)
        for folder in {DEV, CAPS, *(path.parent for path in expected)}
        for path in _others(folder, root)
        if path not in expected | ORDINARY
    )
    if surplus:
        raise NotArrived(f"this container has {', '.join(surplus)}, which belong to another device")


def _check_open(path: Path, root: Path) -> None:
    found = root / path.relative_to("/")
    wanted = os.R_OK if path.parent == CAPS else os.R_OK | os.W_OK
    if path.parent != DRI and not os.access(found, wanted):
        told = found.stat()
        raise NotArrived(
            f"the device node {path} is {stat.filemode(told.st_mode)} of user {told.st_uid} and group {told.st_gid} in "
            f"this container, and user {os.getuid()} may not open it"
        )


def _others(folder: Path, root: Path) -> list[Path]:
    """All device nodes in a folder; of /dev itself only GPUs, as there are terminals and the like."""
    there = root / folder.relative_to("/")
    paths = [folder / path.name for path in there.iterdir() if _is_device(path)] if there.is_dir() else []
    return [path for path in paths if folder != DEV or GPU_NODE.fullmatch(path.name)]


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _bare(uuid: str) -> str:
    """Without the kind of device before it."""
    return uuid.removeprefix("GPU-").removeprefix("MIG-").lower()
