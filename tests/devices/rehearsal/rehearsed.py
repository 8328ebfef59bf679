"""Rehearsed GPUs for tests, used through the real nvidia-ml-py; and other processes that use them too."""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pynvml
import pytest

from bench.devices.rehearsal import state
from bench.devices.rehearsal.library import open_library

ENABLE, DISABLE = pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_DISABLE
Open = Callable[..., Any]
"""Type of the fixture `gpu_of`."""
WHOLE = {1: 0, 2: 1, 3: 2, 4: 3, 7: 4}
"""Compute instance profile that fills a GPU instance of so many compute slices."""


@contextmanager
def loaded(path: Path) -> Iterator[Any]:
    """nvidia-ml-py over the rehearsed library; the handle of its GPU."""
    before = pynvml.nvmlLib
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = open_library(path)
    try:
        pynvml.nvmlInit()
        yield pynvml.nvmlDeviceGetHandleByIndex(0)
    finally:
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib = before


def create(gpu: Any, *profile_ids: int) -> list[Any]:
    """GPU instances, each filled by a compute instance, where the driver puts them."""
    made = []
    for profile_id in profile_ids:
        instance = pynvml.nvmlDeviceCreateGpuInstance(gpu, profile_id)
        slices = pynvml.nvmlDeviceGetGpuInstanceProfileInfoById(gpu, profile_id).sliceCount
        pynvml.nvmlGpuInstanceCreateComputeInstance(instance, WHOLE[slices])
        made.append(instance)
    return made


def places(instances: list[Any]) -> list[tuple[int, int, int]]:
    """(id, start, size) of each."""
    infos = [pynvml.nvmlGpuInstanceGetInfo(instance) for instance in instances]
    return [(info.id, info.placement.start, info.placement.size) for info in infos]


def remove(instances: list[Any]) -> None:
    for instance in instances:
        for profile in range(5):
            try:
                inside = compute_instances(instance, profile)
            except pynvml.NVMLError_NotSupported:
                continue
            for inner in inside:
                pynvml.nvmlComputeInstanceDestroy(inner)
        pynvml.nvmlGpuInstanceDestroy(instance)


def all_instances(gpu: Any, profile_id: int) -> list[Any]:
    room, count = (pynvml.c_nvmlGpuInstance_t * 16)(), ctypes.c_uint()
    pynvml.nvmlDeviceGetGpuInstances(gpu, profile_id, room, ctypes.byref(count))
    return list(room[: count.value])


def compute_instances(instance: Any, profile: int) -> list[Any]:
    room, count = (pynvml.c_nvmlComputeInstance_t * 16)(), ctypes.c_uint()
    pynvml.nvmlGpuInstanceGetComputeInstances(instance, profile, room, ctypes.byref(count))
    return list(room[: count.value])


def file_of(folder: Path) -> Path:
    """The state of the one rehearsed GPU there."""
    return next(folder.glob("*.json"))


def mig_uuids(gpu: Any) -> list[str]:
    found = []
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            found.append(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)))
        except pynvml.NVMLError_NotFound:
            continue
    return found


def refused(name: str) -> Any:
    """The call gives this error and no other: refused("IN_USE")."""
    value = getattr(pynvml, f"NVML_ERROR_{name}")
    return pytest.raises(pynvml.NVMLError, check=lambda error: error.value == value)


def in_child(action: Callable[[], object]) -> int:
    """Exit code of a process that does it; negative: killed by that signal."""
    return in_children(action, 1)[0]


def in_children(action: Callable[[], object], number: int) -> list[int]:
    """Exit codes of so many processes that do it at the same time."""
    pids = []
    for _ in range(number):
        pids.append(os.fork())
        if pids[-1] == 0:
            _do(action)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


@contextmanager
def beside(action: Callable[[], object]) -> Iterator[int]:
    """Another process that has done it and lives until the context ends. Gives its id."""
    told, tell = os.pipe()
    wait, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        _do(lambda: (action(), os.write(tell, b"."), os.read(wait, 1)))
    os.close(tell)
    os.close(wait)
    try:
        assert os.read(told, 1) == b".", "the other process failed"
        yield pid
    finally:
        os.close(end)
        os.close(told)
        os.waitpid(pid, 0)


def _do(action: Callable[[], object]) -> None:
    code = 1
    try:
        action()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def new(path: Path, model: str, **faults: Any) -> Path:
    state.create(path / f"{model}.json", model, faults)
    return path / f"{model}.json"
