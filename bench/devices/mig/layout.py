"""What MIG instances a GPU has now."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.devices.nvml import NvmlError, Session

MOST = 16
"""Instances of one profile on one GPU: more than any has."""


@dataclass(frozen=True, order=True)
class Instance:
    """A GPU instance: `profile_id` is NVML's id (not its enum), `start` and `size` count memory slices, `number` is the
    driver's own id of it, `compute_instances` those of its compute instances."""

    start: int
    size: int
    profile_id: int
    number: int
    compute_instances: tuple[int, ...] = ()

    @property
    def place(self) -> tuple[int, int]:
        """(profile id, start): what stays the same when the same layout is made again."""
        return self.profile_id, self.start


@dataclass(frozen=True)
class MigState:
    """`on` is the mode now, `pending` the one after the next reset; None: this GPU has no MIG. `instances` by start;
    None: this user may not see them. `sizes`: (compute slices, memory in MiB) of each MIG device, which is seen by
    whoever may use it."""

    on: bool | None
    pending: bool | None = None
    instances: tuple[Instance, ...] | None = ()
    sizes: tuple[tuple[int, int], ...] = ()


def read_state(session: Session, gpu: Any, profile_ids: Sequence[int]) -> MigState:
    """The mode and all GPU instances of `profile_ids`, of the handle `gpu`."""
    mode = session.ask("nvmlDeviceGetMigMode", gpu)
    if mode is None:
        return MigState(None)
    on, pending = (bool(value) for value in mode)
    if not on:
        return MigState(on, pending)
    sizes = tuple(sorted((size.gpuInstanceSliceCount, size.memorySizeMB) for size in _sizes(session, gpu)))
    try:
        instances = [instance for profile_id in profile_ids for instance in _instances(session, gpu, profile_id)]
    except NvmlError as error:
        if error.code != "NO_PERMISSION":
            raise
        return MigState(on, pending, None, sizes)
    return MigState(on, pending, tuple(sorted(instances)), sizes)


def mig_handles(session: Session, gpu: Any) -> Iterator[Any]:
    """Of all MIG devices of the GPU. Their indices may have holes."""
    for index in range(session.do("nvmlDeviceGetMaxMigDeviceCount", gpu)):
        try:
            yield session.do("nvmlDeviceGetMigDeviceHandleByIndex", gpu, index)
        except NvmlError as error:
            if error.code not in ("NOT_FOUND", "INVALID_ARGUMENT"):
                raise


def _sizes(session: Session, gpu: Any) -> Iterator[Any]:
    for handle in mig_handles(session, gpu):
        if (size := session.ask("nvmlDeviceGetAttributes", handle)) is not None:
            yield size


def _instances(session: Session, gpu: Any, profile_id: int) -> list[Instance]:
    pynvml = session.pynvml
    room = (pynvml.c_nvmlGpuInstance_t * MOST)()
    count = ctypes.c_uint()
    session.do("nvmlDeviceGetGpuInstances", gpu, profile_id, room, ctypes.byref(count))
    found = []
    for handle in room[: count.value]:
        info = session.do("nvmlGpuInstanceGetInfo", handle)
        place = info.placement
        inside = tuple(number for _, number in compute_instances(session, handle))
        found.append(Instance(place.start, place.size, info.profileId, info.id, inside))
    return found


def compute_instances(session: Session, gpu_instance: Any) -> list[tuple[Any, int]]:
    """(handle, number) of each compute instance within a GPU instance, of every profile that it offers."""
    found = []
    for info in compute_profiles(session, gpu_instance):
        room = (session.pynvml.c_nvmlComputeInstance_t * MOST)()
        count = ctypes.c_uint()
        session.do("nvmlGpuInstanceGetComputeInstances", gpu_instance, info.id, room, ctypes.byref(count))
        for handle in room[: count.value]:
            found.append((handle, session.do("nvmlComputeInstanceGetInfo", handle).id))
    return found


def compute_profiles(session: Session, gpu_instance: Any) -> Iterator[Any]:
    """What NVML tells of each compute instance profile that this GPU instance offers."""
    shared = session.pynvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED
    for profile in range(session.pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        try:
            yield session.do("nvmlGpuInstanceGetComputeInstanceProfileInfo", gpu_instance, profile, shared)
        except NvmlError as error:
            if error.code not in ("NOT_SUPPORTED", "INVALID_ARGUMENT"):  # there is no room for that profile in it
                raise
