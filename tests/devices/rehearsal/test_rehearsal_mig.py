"""The MIG state machine, through nvidia-ml-py: places, ids, modes, who is in the way, handles that die."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pynvml
import pytest
from rehearsed import (
    DISABLE, ENABLE, all_instances, beside, compute_instances, create, in_child, loaded, mig_uuids, new, places,
    refused,
)  # fmt: skip

from bench.devices.rehearsal import state
from bench.errors import InfeasibleHere

Open = Callable[..., Any]


@pytest.fixture
def gpu_of(tmp_path: Path) -> Iterator[Open]:
    """gpu_of(model, mig=True, **faults): the handle of a new rehearsed GPU."""
    with ExitStack() as stack:

        def open_one(model: str, mig: bool = True, **faults: Any) -> Any:
            gpu = stack.enter_context(loaded(new(tmp_path, model, **faults)))
            if mig:
                assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == 0
            return gpu

        yield open_one


def file_of(tmp_path: Path) -> Path:
    return next(tmp_path.glob("*.json"))


# --- places and ids -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["a100-40gb", "h100-80gb", "h200-141gb"])
def test_places_and_ids_are_those_of_the_published_captures(gpu_of: Open, model: str) -> None:
    gpu = gpu_of(model)
    assert places(create(gpu, 9, 14, 19, 19)) == [(2, 4, 4), (3, 0, 2), (9, 2, 1), (10, 3, 1)]


def test_the_order_matters_where_the_driver_chooses(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    create(gpu, 19, 19, 14)
    with refused("INSUFFICIENT_RESOURCES"):
        create(gpu, 9)


def test_a_named_place_makes_the_order_irrelevant(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    for profile_id, start, size in ((19, 2, 1), (19, 3, 1), (14, 0, 2), (9, 4, 4)):
        place = pynvml.c_nvmlGpuInstancePlacement_t(start=start, size=size)
        made = pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, profile_id, ctypes.byref(place))
        assert places([made])[0][1:] == (start, size)


@pytest.mark.parametrize("model, profile_id, most", [
    ("a30-24gb", 14, [3, 4, 5, 6]), ("a100-40gb", 19, [7, 8, 9, 10, 11, 12, 13]), ("rtx-pro-6000-96gb", 14, [3, 4, 5, 6]),
])  # fmt: skip
def test_as_many_as_fit_with_ids_of_their_places(gpu_of: Open, model: str, profile_id: int, most: list[int]) -> None:
    gpu = gpu_of(model)
    made = create(gpu, *[profile_id] * len(most))
    assert sorted(number for number, _, _ in places(made)) == most
    with refused("INSUFFICIENT_RESOURCES"):
        create(gpu, profile_id)


@pytest.mark.parametrize("start, size, code", [
    (1, 4, "INVALID_ARGUMENT"), (0, 2, "INVALID_ARGUMENT"), (4, 4, "INSUFFICIENT_RESOURCES")
])  # fmt: skip
def test_places_that_there_are_not(gpu_of: Open, start: int, size: int, code: str) -> None:
    gpu = gpu_of("a100-40gb")
    create(gpu, 9)
    place = pynvml.c_nvmlGpuInstancePlacement_t(start=start, size=size)
    with refused(code):
        pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, 9, ctypes.byref(place))


def test_no_more_than_the_profile_allows(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    create(gpu, 20)
    with refused("INSUFFICIENT_RESOURCES"):
        create(gpu, 20)
    create(gpu, 19)


# --- compute instances and MIG devices ----------------------------------------------------------------------------


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


# --- what lives and what is gone ----------------------------------------------------------------------------------


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


# --- the mode -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["a100-40gb", "h100-80gb"])
def test_the_mode_changes_at_once_on_an_idle_gpu(gpu_of: Open, model: str) -> None:
    gpu = gpu_of(model, mig=False)
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [0, 0]
    assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == 0
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert pynvml.nvmlDeviceSetMigMode(gpu, DISABLE) == 0
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [0, 0]


def test_on_ampere_another_session_makes_it_wait_for_a_reset(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("a100-40gb", mig=False)
    with beside(pynvml.nvmlInit):  # no: that is this process's own library, forked
        assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == 0
        pynvml.nvmlDeviceSetMigMode(gpu, DISABLE)
    with beside(lambda: loaded(file_of(tmp_path)).__enter__()):
        assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == pynvml.NVML_ERROR_IN_USE
        assert pynvml.nvmlDeviceGetMigMode(gpu) == [0, 1]
        with refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceCreateGpuInstance(gpu, 9)
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [0, 1]
    state.reset(file_of(tmp_path))
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]


def test_hopper_minds_contexts_only(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("h100-80gb", mig=False)
    uuid = pynvml.nvmlDeviceGetUUID(gpu)
    with beside(lambda: state.attach(file_of(tmp_path), uuid)):
        assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == pynvml.NVML_ERROR_IN_USE
        assert pynvml.nvmlDeviceGetMigMode(gpu)[0] == 0
    with beside(lambda: loaded(file_of(tmp_path)).__enter__()):
        assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == 0


def test_a_promised_mode_can_be_taken_back(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb", mig=False, mode_stays_pending=True)
    assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == pynvml.NVML_ERROR_IN_USE
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [0, 1]
    assert pynvml.nvmlDeviceSetMigMode(gpu, DISABLE) == 0
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [0, 0]


def test_the_mode_stays_while_there_are_instances(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    instance = create(gpu, 9)[0]
    with refused("IN_USE"):
        pynvml.nvmlDeviceSetMigMode(gpu, DISABLE)
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    remove([instance])
    assert pynvml.nvmlDeviceSetMigMode(gpu, DISABLE) == 0


def test_instances_do_not_survive_a_reset(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("h100-80gb")
    instance = create(gpu, 9)[0]
    state.reset(file_of(tmp_path))
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert mig_uuids(gpu) == []
    with refused("INVALID_ARGUMENT"):
        pynvml.nvmlGpuInstanceGetInfo(instance)


def test_without_the_mode_there_are_no_instances(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb", mig=False)
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0
    for call, *arguments in (
        (pynvml.nvmlDeviceCreateGpuInstance, 9), (pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity, 9),
        (all_instances, 9), (pynvml.nvmlDeviceGetGpuInstanceById, 2), (pynvml.nvmlDeviceGetMigDeviceHandleByIndex, 0),
        (pynvml.nvmlDeviceGetGpuInstancePossiblePlacements, 9, None, ctypes.byref(ctypes.c_uint())),
    ):  # fmt: skip
        with refused("NOT_SUPPORTED"):
            call(gpu, *arguments)


@pytest.mark.parametrize("model", ["v100-16gb", "t4-16gb", "l40s-48gb"])
def test_a_gpu_without_mig(gpu_of: Open, model: str) -> None:
    gpu = gpu_of(model, mig=False)
    for call, *arguments in (
        (pynvml.nvmlDeviceGetMigMode,), (pynvml.nvmlDeviceSetMigMode, ENABLE),
        (pynvml.nvmlDeviceGetGpuInstanceProfileInfo, 0), (pynvml.nvmlDeviceCreateGpuInstance, 9),
    ):  # fmt: skip
        with refused("NOT_SUPPORTED"):
            call(gpu, *arguments)


def test_the_state_outlives_the_process_that_made_it(tmp_path: Path) -> None:
    path = new(tmp_path, "a100-40gb")

    def divide() -> None:
        with loaded(path) as gpu:
            pynvml.nvmlDeviceSetMigMode(gpu, ENABLE)
            create(gpu, 9, 14)

    assert in_child(divide) == 0
    with loaded(path) as gpu:
        assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
        assert places(all_instances(gpu, 9) + all_instances(gpu, 14)) == [(2, 4, 4), (3, 0, 2)]
