"""Compute instances and MIG devices of a rehearsed GPU: sizes, UUIDs, and handles that die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pynvml
import pytest
from rehearsed import (
    Open,
    all_instances,
    beside,
    compute_instances,
    create,
    file_of,
    mig_uuids,
    places,
    refused,
    remove,
)

from bench.devices.rehearsal import state
from bench.errors import InfeasibleHere


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_gpu_instance_in_two_parts(gpu_of: Open, order: list[int]) -> None:
    """As captured on an H200: 16 and 32 multiprocessors, and not the 60 of an undivided one."""
    gpu = gpu_of("h200-141gb")
    instance = pynvml.nvmlDeviceCreateGpuInstance(gpu, 9)
    for profile in order:
        pynvml.nvmlGpuInstanceCreateComputeInstance(instance, profile)
    with refused("INSUFFICIENT_RESOURCES"):
        pynvml.nvmlGpuInstanceCreateComputeInstance(instance, 0)
    handles = [pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index) for index in range(2)]
    sizes = [pynvml.nvmlDeviceGetAttributes(handle) for handle in handles]
    assert sorted(size.multiprocessorCount for size in sizes) == [16, 32]
    assert {size.memorySizeMB for size in sizes} == {
        pynvml.nvmlDeviceGetGpuInstanceProfileInfoById(gpu, 9).memorySizeMB
    }
    assert len(compute_instances(instance, 0)) == len(compute_instances(instance, 1)) == 1


def test_compute_profiles_are_those_that_fit(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    instance = create(gpu, 9)[0]
    names = []
    for profile in range(pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        try:
            info = pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, profile, 0)
        except pynvml.NVMLError_NotSupported:
            continue
        names.append((info.name, info.multiprocessorCount, info.instanceCount))
    assert names == [("MIG 1c.3g.40gb", 16, 3), ("MIG 2c.3g.40gb", 32, 1), ("MIG 3g.40gb", 60, 1)]
    with refused("INVALID_ARGUMENT"):
        pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT, 0)


def test_a_mig_device_leads_to_its_instances_and_its_gpu(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    create(gpu, 9, 14)
    device = pynvml.nvmlDeviceGetHandleByUUID(mig_uuids(gpu)[1])
    assert pynvml.nvmlDeviceIsMigDeviceHandle(device).value == 1
    assert pynvml.nvmlDeviceGetGpuInstanceId(device) == 3
    assert pynvml.nvmlDeviceGetComputeInstanceId(device) == 0
    assert pynvml.nvmlDeviceGetName(device).endswith(" MIG 2g.20gb")
    parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device)
    assert pynvml.nvmlDeviceGetUUID(parent) == pynvml.nvmlDeviceGetUUID(gpu)
    info = pynvml.nvmlComputeInstanceGetInfo(compute_instances(pynvml.nvmlDeviceGetGpuInstanceById(gpu, 3), 1)[0])
    assert (info.id, info.profileId, info.placement.size) == (0, 1, 2)
    assert places([info.gpuInstance]) == [(3, 0, 2)]
    for call in (pynvml.nvmlDeviceGetGpuInstanceId, pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle):
        with refused("INVALID_ARGUMENT"):
            call(gpu)


def test_the_same_place_has_the_same_uuid_and_others_have_others(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    create(gpu, 9, 14, 19, 19)
    first = mig_uuids(gpu)
    for profile_id in (9, 14, 19):
        remove(all_instances(gpu, profile_id))
    assert mig_uuids(gpu) == []
    create(gpu, 9, 14, 19, 19)
    assert mig_uuids(gpu) == first
    assert len(set(first)) == 4


def test_a_destroyed_mig_device_leaves_a_hole(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    first, _ = create(gpu, 14, 14)
    remove([first])
    with refused("NOT_FOUND"):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1)
    with refused("INVALID_ARGUMENT"):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 7)


def test_a_gpu_instance_with_compute_instances_stays(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    instance = create(gpu, 9)[0]
    with refused("IN_USE"):
        pynvml.nvmlGpuInstanceDestroy(instance)
    remove([instance])
    assert all_instances(gpu, 9) == []


def test_handles_die_with_what_they_stand_for(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    instance = create(gpu, 9)[0]
    inner = compute_instances(instance, 2)[0]
    device = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    uuid = pynvml.nvmlDeviceGetUUID(device)
    remove([instance])
    create(gpu, 9)  # the same place, id and UUID; the old handles are no good all the same
    for call, handle in (
        (pynvml.nvmlGpuInstanceGetInfo, instance), (pynvml.nvmlGpuInstanceDestroy, instance),
        (pynvml.nvmlComputeInstanceGetInfo, inner), (pynvml.nvmlComputeInstanceDestroy, inner),
        (pynvml.nvmlDeviceGetUUID, device), (pynvml.nvmlDeviceGetMemoryInfo, device),
    ):  # fmt: skip
        with refused("INVALID_ARGUMENT"):
            call(handle)
    assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByUUID(uuid)) == uuid


def test_handles_are_not_taken_for_others(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    instance = create(gpu, 9)[0]
    for call, handle in (
        (pynvml.nvmlDeviceGetUUID, instance), (pynvml.nvmlGpuInstanceGetInfo, gpu),
        (pynvml.nvmlComputeInstanceDestroy, instance), (pynvml.nvmlDeviceGetUUID, pynvml.c_nvmlDevice_t()),
    ):  # fmt: skip
        with refused("INVALID_ARGUMENT"):
            call(handle)


def test_a_process_holds_its_instance_until_it_ends(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("a100-40gb")
    instance, other = create(gpu, 9, 14)
    inner = compute_instances(instance, 2)[0]
    uuid = mig_uuids(gpu)[0]
    with beside(lambda: state.attach(file_of(tmp_path), uuid)) as pid:
        (process,) = pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)
        assert (process.pid, process.gpuInstanceId, process.computeInstanceId) == (pid, 2, 0)
        assert pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByUUID(mig_uuids(gpu)[1])) == []
        with refused("IN_USE"):
            pynvml.nvmlComputeInstanceDestroy(inner)
        remove([other])  # nobody is in the other one
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(gpu) == []
    remove([instance])


def test_a_killed_process_that_nobody_waited_for_holds_nothing(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("h100-80gb")
    instance = create(gpu, 9)[0]
    uuid = mig_uuids(gpu)[0]
    with beside(lambda: state.attach(file_of(tmp_path), uuid)) as pid:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        remove([instance])


def test_a_process_can_let_go(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("h100-80gb")
    instance = create(gpu, 9)[0]
    uuid = mig_uuids(gpu)[0]
    state.attach(file_of(tmp_path), uuid)
    state.attach(file_of(tmp_path), uuid, mps=True)
    assert [one.pid for one in pynvml.nvmlDeviceGetMPSComputeRunningProcesses(gpu)] == [os.getpid()]
    state.detach(file_of(tmp_path), uuid)
    remove([instance])


def test_there_is_nothing_to_attach_to(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("h100-80gb")
    for uuid in ("MIG-00000000-0000-0000-0000-000000000000", pynvml.nvmlDeviceGetUUID(gpu)):
        with pytest.raises(InfeasibleHere, match="no CUDA device"):
            state.attach(file_of(tmp_path), uuid)
