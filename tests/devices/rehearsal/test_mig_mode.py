"""The MIG mode of a rehearsed GPU: when it changes at once, and when by a reset only."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pynvml
import pytest
from rehearsed import (
    DISABLE,
    ENABLE,
    Open,
    all_instances,
    beside,
    create,
    file_of,
    in_child,
    loaded,
    mig_uuids,
    new,
    places,
    refused,
    remove,
)

from bench.devices.rehearsal import state


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
