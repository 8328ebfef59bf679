"""Creating and destroying MIG instances: one GPU instance with one compute instance that fills it, at a named place."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.devices.geometry import Placement
from bench.devices.mig.layout import Instance, compute_instances, compute_profiles, mig_handles
from bench.devices.nvml import NvmlError, Session

BACK_OFF_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""A process that has just ended may hold its instance a moment longer."""


@dataclass(frozen=True)
class MigDevice:
    """What a tenant can be given: UUID for CUDA, ids for NVML, and its size as the driver tells it (None: not told)."""

    uuid: str
    gpu_instance: int
    compute_instance: int
    sm_count: int | None
    memory_bytes: int | None


def create_gpu_instance(session: Session, gpu: Any, placement: Placement) -> int:
    """The driver's id of a new GPU instance, exactly at `placement`."""
    place = session.pynvml.c_nvmlGpuInstancePlacement_t(start=placement.start, size=placement.profile.size)
    handle = session.do("nvmlDeviceCreateGpuInstanceWithPlacement", gpu, placement.profile.id, ctypes.byref(place))
    return int(session.do("nvmlGpuInstanceGetInfo", handle).id)


def fill(session: Session, gpu: Any, number: int) -> None:
    """Create the compute instance that fills the GPU instance `number`."""
    handle = session.do("nvmlDeviceGetGpuInstanceById", gpu, number)
    session.do("nvmlGpuInstanceCreateComputeInstance", handle, _largest(session, handle))


def destroy(session: Session, gpu: Any, instance: Instance) -> None:
    """Destroy a GPU instance and the compute instances within it. Raises NvmlError IN_USE after some patience."""
    handle = session.do("nvmlDeviceGetGpuInstanceById", gpu, instance.number)
    for inner, _ in compute_instances(session, handle):
        _patiently(lambda inner=inner: session.do("nvmlComputeInstanceDestroy", inner))  # type: ignore[misc]
    _patiently(lambda: session.do("nvmlGpuInstanceDestroy", handle))


def mig_devices(session: Session, gpu: Any) -> list[MigDevice]:
    """All MIG devices of the GPU."""
    found = []
    for handle in mig_handles(session, gpu):
        size = session.ask("nvmlDeviceGetAttributes", handle)
        found.append(
            MigDevice(
                uuid=session.do("nvmlDeviceGetUUID", handle),
                gpu_instance=session.do("nvmlDeviceGetGpuInstanceId", handle),
                compute_instance=session.do("nvmlDeviceGetComputeInstanceId", handle),
                sm_count=(size.multiprocessorCount or None) if size else None,
                memory_bytes=(size.memorySizeMB * 2**20 or None) if size else None,
            )
        )
    return found


def _largest(session: Session, gpu_instance: Any) -> int:
    """Id of the compute instance profile with the most slices; the ordinary one, where several are equal."""
    return int(max(compute_profiles(session, gpu_instance), key=lambda info: info.sliceCount).id)


def _patiently(destroy: Callable[[], Any]) -> None:
    for pause_s in BACK_OFF_S:
        try:
            destroy()
            return
        except NvmlError as error:
            if error.code != "IN_USE":
                raise
            time.sleep(pause_s)
    destroy()
