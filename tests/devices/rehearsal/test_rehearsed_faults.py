"""Faults of a rehearsed GPU, through nvidia-ml-py."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pynvml
import pytest
from rehearsed import (
    ENABLE,
    Open,
    all_instances,
    create,
    file_of,
    in_child,
    in_children,
    loaded,
    mig_uuids,
    new,
    places,
    refused,
    remove,
)

from bench.devices.rehearsal import state
from bench.devices.rehearsal.library import open_library
from bench.errors import ConfigError

NEWER_THAN_R590 = ("nvmlDeviceGetRemappedRows_v2", "nvmlEventSetWait_v3", "nvmlDevicePerfMetricsGetSamples_v1")


@pytest.mark.parametrize("faults, words", [
    ({"lost_at": 3}, "lost_at"),
    ({"lost_at_call": 0}, "lost_at_call"),
    ({"driver": "r123"}, "driver"),
    ({"fail": {"nvmlDeviceGetUtilisation": "IN_USE"}}, "no NVML call nvmlDeviceGetUtilisation"),
    ({"fail": {"nvmlDeviceGetUUID": "NVML_ERROR_IN_USE"}}, "no error NVML_ERROR_IN_USE"),
    ({"at_call": {"number": 1, "do": "explode"}}, "no error explode"),
    ({"at_call": {"number": 1, "do": "kill", "moment": "between"}}, "at_call.moment"),
    ({"missing": ["nvmlDeviceGetAttributes"]}, "no NVML call nvmlDeviceGetAttributes"),
])  # fmt: skip
def test_a_mistyped_fault_is_told(tmp_path: Path, faults: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        state.create(tmp_path / "gpu.json", "a100-40gb", faults)
    assert not (tmp_path / "gpu.json").exists()


def test_an_unknown_model_and_another_models_gpu(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a100-41gb"):
        state.create(tmp_path / "gpu.json", "a100-41gb")
    path = new(tmp_path, "a100-40gb")
    with pytest.raises(ConfigError, match="is a a100-40gb, not a a30-24gb"):
        state.create(path, "a30-24gb")


def test_a_gpu_that_is_there_stays_and_takes_new_faults(tmp_path: Path) -> None:
    path = new(tmp_path, "a100-40gb")
    with loaded(path) as gpu:
        pynvml.nvmlDeviceSetMigMode(gpu, ENABLE)
    uuid = state.read(path).uuid
    state.create(path, "a100-40gb", {"stuck_energy": True})
    found = state.read(path)
    assert (found.uuid, found.mig, found.faults.stuck_energy) == (uuid, True, True)


def test_a_call_fails_as_often_as_it_should(gpu_of: Open) -> None:
    fail = {"nvmlDeviceGetUUID": {"error": "TIMEOUT", "times": 2}, "nvmlDeviceGetIndex": "UNKNOWN"}
    gpu = gpu_of("a100-40gb", mig=False, fail=fail)
    for _ in range(2):
        with refused("TIMEOUT"):
            pynvml.nvmlDeviceGetUUID(gpu)
    pynvml.nvmlDeviceGetUUID(gpu)
    for _ in range(3):
        with refused("UNKNOWN"):
            pynvml.nvmlDeviceGetIndex(gpu)


@pytest.mark.parametrize("moment, there", [("before", 0), ("after", 1)])
@pytest.mark.parametrize("do", ["kill", "UNKNOWN"])
def test_a_fault_at_a_call_leaves_the_state_before_or_after_it(
    tmp_path: Path, do: str, moment: str, there: int
) -> None:
    path = new(tmp_path, "a100-40gb")
    with loaded(path) as gpu:
        pynvml.nvmlDeviceSetMigMode(gpu, ENABLE)

        def create_one() -> None:
            with refused("UNKNOWN"):
                pynvml.nvmlDeviceCreateGpuInstance(gpu, 9)

        state.set_faults(path, {"at_call": {"number": 2, "do": do, "moment": moment}})
        pynvml.nvmlDeviceGetMigMode(gpu)
        assert in_child(create_one) == (-signal.SIGKILL if do == "kill" else 0)
        assert len(all_instances(gpu, 9)) == there  # and the fault does not come again


@pytest.mark.parametrize("number", range(1, 21))
def test_a_kill_at_any_call_leaves_a_whole_state(tmp_path: Path, number: int) -> None:
    path = new(tmp_path, "h100-80gb", at_call={"number": number, "do": "kill", "moment": "after"})

    def build_up_and_down() -> None:
        with loaded(path) as gpu:
            pynvml.nvmlDeviceSetMigMode(gpu, ENABLE)
            remove(create(gpu, 9, 14))
            pynvml.nvmlDeviceSetMigMode(gpu, 0)

    assert in_child(build_up_and_down) == -signal.SIGKILL
    with loaded(path) as gpu:
        on, pending = pynvml.nvmlDeviceGetMigMode(gpu)
        assert on == pending
        if on:
            found = all_instances(gpu, 9) + all_instances(gpu, 14)
            assert places(found) in ([], [(2, 4, 4)], [(2, 4, 4), (3, 0, 2)], [(3, 0, 2)])
            remove(found)
            assert len(create(gpu, 9, 14, 19, 19)) == 4  # nothing is left that holds a place


def test_a_kill_within_a_write_leaves_the_state_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new(tmp_path, "a100-40gb")
    before = path.read_bytes()

    def half_a_write() -> None:
        def write(file: Path, text: str) -> int:
            file.write_bytes(text.encode()[: len(text) // 2])
            signal.raise_signal(signal.SIGKILL)
            return 0

        monkeypatch.setattr(Path, "write_text", write)
        state.set_faults(path, {"stuck_energy": True})

    assert in_child(half_a_write) == -signal.SIGKILL
    assert path.read_bytes() == before
    state.set_faults(path, {"no_permission": True})  # the lock went with its holder
    assert state.read(path).faults.no_permission


def test_a_lost_gpu_stays_lost_until_it_is_reset(tmp_path: Path) -> None:
    path = new(tmp_path, "h100-80gb")
    with loaded(path) as gpu:
        pynvml.nvmlDeviceSetMigMode(gpu, ENABLE)
        instance = create(gpu, 9)[0]
        uuid = mig_uuids(gpu)[0]
        state.set_faults(path, {"lost_at_call": 2})
        pynvml.nvmlDeviceGetPowerUsage(gpu)
        for call, *arguments in (
            (pynvml.nvmlDeviceGetPowerUsage, gpu), (pynvml.nvmlDeviceGetMigMode, gpu),
            (pynvml.nvmlGpuInstanceGetInfo, instance), (pynvml.nvmlDeviceGetHandleByUUID, uuid),
            (pynvml.nvmlDeviceGetHandleByIndex, 0),
        ):  # fmt: skip
            with refused("GPU_IS_LOST"):
                call(*arguments)
        state.reset(path)
        assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]


def test_without_permission_nothing_is_changed_or_looked_into(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("a100-40gb")
    instance = create(gpu, 9)[0]
    state.set_faults(file_of(tmp_path), {"no_permission": True})
    for call, *arguments in (
        (pynvml.nvmlDeviceSetMigMode, gpu, 0), (pynvml.nvmlDeviceCreateGpuInstance, gpu, 14),
        (pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity, gpu, 14), (all_instances, gpu, 9),
        (pynvml.nvmlGpuInstanceDestroy, instance), (pynvml.nvmlDeviceGetMemoryInfo, gpu),
    ):  # fmt: skip
        with refused("NO_PERMISSION"):
            call(*arguments)
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    device = pynvml.nvmlDeviceGetHandleByUUID(mig_uuids(gpu)[0])
    assert pynvml.nvmlDeviceGetMemoryInfo(device).total > 0


def test_a_stuck_energy_counter(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb", mig=False, stuck_energy=True)
    first = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) == first
    assert pynvml.nvmlDeviceGetFieldValues(gpu, [83])[0].value.ullVal == first


@pytest.mark.parametrize("driver", ["r590", "r610"])
def test_symbols_that_a_driver_lacks(gpu_of: Open, driver: str) -> None:
    gpu = gpu_of("h100-80gb", driver=driver, missing=["nvmlGpmSampleGet"])
    assert pynvml.nvmlSystemGetDriverVersion().startswith(driver[1:])
    for symbol in (*NEWER_THAN_R590, "nvmlNoSuchThing", "nvmlGpmSampleGet"):
        with refused("FUNCTION_NOT_FOUND"):
            pynvml._nvmlGetFunctionPointer(symbol)
    with refused("FUNCTION_NOT_FOUND"):
        pynvml.nvmlDeviceGetRemappedRows_v2(gpu, None)


@pytest.mark.parametrize("on_device", [True, False])
def test_somebody_elses_process(gpu_of: Open, tmp_path: Path, on_device: bool) -> None:
    gpu = gpu_of("a100-40gb")
    instance, other = create(gpu, 9, 14)
    where = mig_uuids(gpu)[0] if on_device else None
    state.set_faults(file_of(tmp_path), {"foreign_process": {"on": where, "pid": 4242}})
    found = pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)
    assert {process.pid for process in found} == {4242}
    assert [process.gpuInstanceId for process in found] == ([2] if on_device else [2, 3])
    with refused("IN_USE"):
        remove([instance])
    if on_device:
        remove([other])


def test_a_vgpu_guest(gpu_of: Open) -> None:
    gpu = gpu_of("h200-141gb", mig=False, vgpu="H200-1-18C")
    assert pynvml.nvmlDeviceGetName(gpu) == "H200-1-18C"
    assert pynvml.nvmlDeviceGetVirtualizationMode(gpu) == pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 0
    for call, *arguments in ((pynvml.nvmlDeviceGetMigMode,), (pynvml.nvmlDeviceSetMigMode, ENABLE)):
        with refused("NOT_SUPPORTED"):
            call(gpu, *arguments)


@pytest.mark.parametrize("model, code, current", [("a100-40gb", "RESET_REQUIRED", 0), ("h100-80gb", None, 1)])
def test_a_gpu_passed_through_to_a_virtual_machine(gpu_of: Open, model: str, code: str | None, current: int) -> None:
    gpu = gpu_of(model, mig=False, passthrough=True)
    assert pynvml.nvmlDeviceGetVirtualizationMode(gpu) == pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH
    expected = getattr(pynvml, f"NVML_ERROR_{code}") if code else 0
    assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == expected
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [current, 1]


def test_changes_by_several_processes_at_once_are_all_there(tmp_path: Path) -> None:
    path = new(tmp_path, "a100-40gb", lost_at_call=10_000)  # so that calls are counted, each with a write
    library, calls = open_library(path), 100

    def call_often() -> None:
        for _ in range(calls):
            assert library.nvmlShutdown() == pynvml.NVML_ERROR_UNINITIALIZED

    assert in_children(call_often, 4) == [0] * 4
    assert state.read(path).calls == 4 * calls
