"""The other calls of a rehearsed NVML: structures are filled, and refused, as C would."""

from __future__ import annotations

import ctypes
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml
import pytest
from rehearsed import Open, beside, create, file_of, loaded, mig_uuids, new, refused

from bench.devices import catalog
from bench.devices.rehearsal import state
from bench.devices.rehearsal.calls import EXPORTS

GIB = 2**30


@pytest.mark.parametrize("name", catalog.models())
def test_identity_is_that_of_the_catalog(gpu_of: Open, name: str) -> None:
    gpu, model = gpu_of(name, mig=False), catalog.model(name)
    assert pynvml.nvmlDeviceGetName(gpu) == model.product
    assert pynvml.nvmlDeviceGetMemoryInfo(gpu).total == model.memory_bytes
    architecture = getattr(pynvml, f"NVML_DEVICE_ARCH_{model.architecture.upper()}")
    assert pynvml.nvmlDeviceGetArchitecture(gpu) == architecture
    if model.compute_capability:
        assert pynvml.nvmlDeviceGetCudaComputeCapability(gpu) == model.compute_capability
    if model.sm_count:
        assert pynvml.nvmlDeviceGetNumGpuCores(gpu) % model.sm_count == 0
    pci = pynvml.nvmlDeviceGetPciInfo(gpu)
    assert pci.pciDeviceId == model.pci_device_ids[0] if model.pci_device_ids else pci.pciDeviceId == 0
    for address in (pci.busId, pci.busIdLegacy, "01:00.0"):
        assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByPciBusId(address)).startswith("GPU-")


@pytest.mark.parametrize("name", catalog.models())
def test_profiles_are_those_of_the_catalog_with_mig_on_or_off(gpu_of: Open, name: str) -> None:
    gpu, known = gpu_of(name, mig=False), {profile.enum: profile for profile in catalog.model(name).profiles}
    for enum in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        if enum not in known:
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, enum)
            continue
        profile = known[enum]
        info = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, enum)
        old = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, enum, version=1)
        by_id = pynvml.nvmlDeviceGetGpuInstanceProfileInfoById(gpu, profile.id)
        assert info.name == by_id.name == f"MIG {profile.name}"
        assert (info.id, info.sliceCount, info.instanceCount) == (
            profile.id, profile.compute_slices, profile.max_instances
        )  # fmt: skip
        assert info.multiprocessorCount == old.multiprocessorCount == (profile.sm_count or 0)
        assert info.memorySizeMB * 2**20 == (profile.memory_bytes or 0)
    if known:
        with refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceGetGpuInstanceProfileInfo(gpu, pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT)


def test_every_call_is_one_that_the_bindings_make() -> None:
    source = inspect.getsource(pynvml)
    others = {"nvmlInit", "nvmlInit_v2"}  # which other programs call
    assert [symbol for symbol in EXPORTS if symbol not in others and f'"{symbol}"' not in source] == []


def test_nothing_works_before_it_is_initialised_or_after_the_last_shutdown(tmp_path: Path) -> None:
    path = new(tmp_path, "a100-40gb")
    with loaded(path) as gpu:
        pynvml.nvmlInit()
        pynvml.nvmlShutdown()
        pynvml.nvmlDeviceGetUUID(gpu)
        assert len(state.read(path).sessions) == 1
        pynvml.nvmlShutdown()
        assert state.read(path).sessions == ()
        for call, *arguments in ((pynvml.nvmlDeviceGetUUID, gpu), (pynvml.nvmlDeviceGetCount,), (pynvml.nvmlShutdown,)):
            with refused("UNINITIALIZED"):
                call(*arguments)


def test_a_driver_that_was_removed(tmp_path: Path) -> None:
    with refused("DRIVER_NOT_LOADED"), loaded(tmp_path / "nothing.json"):
        pass


def test_addresses_that_there_are_not(gpu_of: Open) -> None:
    gpu_of("a100-40gb")
    for call, address, code in (
        (pynvml.nvmlDeviceGetHandleByUUID, "GPU-0", "NOT_FOUND"),
        (pynvml.nvmlDeviceGetHandleByUUID, "MIG-0", "NOT_FOUND"),
        (pynvml.nvmlDeviceGetHandleByPciBusId, "00000000:02:00.0", "NOT_FOUND"),
        (pynvml.nvmlDeviceGetHandleByIndex, 1, "INVALID_ARGUMENT"),
    ):
        with refused(code):
            call(address)


def test_versions_of_structures_are_checked(gpu_of: Open) -> None:
    gpu = gpu_of("h100-80gb")
    instance = create(gpu, 9)[0]
    assert pynvml.nvmlDeviceGetMemoryInfo(gpu, version=pynvml.nvmlMemory_v2).total == 80 * GIB
    with refused("ARGUMENT_VERSION_MISMATCH"):
        pynvml.nvmlDeviceGetMemoryInfo(gpu, version=0x03000028)
    for symbol, handle, structure, *before in (
        ("nvmlDeviceGetGpuInstanceProfileInfoV", gpu, pynvml.c_nvmlGpuInstanceProfileInfo_v2_t(), 0),
        ("nvmlDeviceGetGpuInstanceProfileInfoByIdV", gpu, pynvml.c_nvmlGpuInstanceProfileInfo_v2_t(), 9),
        (
            "nvmlGpuInstanceGetComputeInstanceProfileInfoV",
            instance,
            pynvml.c_nvmlComputeInstanceProfileInfo_v2_t(),
            0,
            0,
        ),
        ("nvmlGpmQueryDeviceSupport", gpu, pynvml.c_nvmlGpmSupport_t()),
        ("nvmlDeviceGetTemperatureV", gpu, pynvml.c_nvmlTemperature_v1_t()),
    ):
        structure.version = 0x07000000
        code = getattr(pynvml.nvmlLib, symbol)(handle, *before, ctypes.byref(structure))
        assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH, symbol


def test_buffers_that_are_too_small_and_pointers_to_nothing(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    small = ctypes.create_string_buffer(8)
    name = pynvml.nvmlLib.nvmlDeviceGetName
    assert name(gpu, small, ctypes.c_uint(8)) == pynvml.NVML_ERROR_INSUFFICIENT_SIZE
    assert name(gpu, None, ctypes.c_uint(8)) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    with refused("INVALID_ARGUMENT"):
        pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(gpu, 9, None, None)


def test_errors_have_words(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb")
    create(gpu, 9)
    with pytest.raises(pynvml.NVMLError, match="In Use"):
        pynvml.nvmlDeviceSetMigMode(gpu, 0)


@pytest.mark.parametrize("call, arguments", [
    (pynvml.nvmlDeviceGetSerial, ()), (pynvml.nvmlDeviceGetBoardPartNumber, ()), (pynvml.nvmlDeviceGetVbiosVersion, ()),
    (pynvml.nvmlDeviceGetInforomImageVersion, ()), (pynvml.nvmlDeviceGetGspFirmwareVersion, ()),
    (pynvml.nvmlDeviceGetPersistenceMode, ()), (pynvml.nvmlDeviceGetComputeMode, ()), (pynvml.nvmlDeviceGetEccMode, ()),
    (pynvml.nvmlDeviceGetVirtualizationMode, ()), (pynvml.nvmlDeviceGetIndex, ()),
    (pynvml.nvmlDeviceGetMinorNumber, ()),
    (pynvml.nvmlDeviceGetPowerUsage, ()), (pynvml.nvmlDeviceGetEnforcedPowerLimit, ()),
    (pynvml.nvmlDeviceGetPowerManagementLimit, ()), (pynvml.nvmlDeviceGetPowerManagementDefaultLimit, ()),
    (pynvml.nvmlDeviceGetPowerManagementLimitConstraints, ()), (pynvml.nvmlDeviceGetTotalEnergyConsumption, ()),
    (pynvml.nvmlDeviceGetTemperature, (0,)), (pynvml.nvmlDeviceGetTemperatureV, (0,)),
    (pynvml.nvmlDeviceGetClockInfo, (1,)), (pynvml.nvmlDeviceGetMaxClockInfo, (1,)),
    (pynvml.nvmlDeviceGetSupportedClocksEventReasons, ()), (pynvml.nvmlDeviceGetCurrentClocksEventReasons, ()),
    (pynvml.nvmlDeviceGetPerformanceState, ()), (pynvml.nvmlDeviceGetCurrPcieLinkGeneration, ()),
    (pynvml.nvmlDeviceGetMaxPcieLinkGeneration, ()), (pynvml.nvmlDeviceGetCurrPcieLinkWidth, ()),
    (pynvml.nvmlDeviceGetMaxPcieLinkWidth, ()), (pynvml.nvmlDeviceGetPcieThroughput, (0,)),
    (pynvml.nvmlDeviceGetComputeRunningProcesses, ()), (pynvml.nvmlDeviceGetGraphicsRunningProcesses, ()),
    (pynvml.nvmlDeviceGetMPSComputeRunningProcesses, ()), (pynvml.nvmlDeviceGetFieldValues, ([82, 83, 185, 186],)),
])  # fmt: skip
def test_it_answers_for_the_gpu_with_mig_on(gpu_of: Open, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    gpu = gpu_of("h200-141gb")
    create(gpu, 9)
    call(gpu, *arguments)


def test_what_mig_takes_away(gpu_of: Open) -> None:
    gpu = gpu_of("h200-141gb", mig=False)
    assert pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu == 0
    assert pynvml.nvmlDeviceGetRemappedRows(gpu) == (0, 0, 0, 0)
    with refused("NOT_SUPPORTED"):
        pynvml.nvmlDeviceGetAttributes(gpu)
    pynvml.nvmlDeviceSetMigMode(gpu, 1)
    pynvml.nvmlDeviceGetRemappedRows(gpu)
    create(gpu, 9)
    device = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    for handle in (gpu, device):
        for call, *arguments in (
            (pynvml.nvmlDeviceGetUtilizationRates,), (pynvml.nvmlDeviceGetRemappedRows,),
            (pynvml.nvmlDeviceGetProcessUtilization, 0),
        ):  # fmt: skip
            with refused("NOT_SUPPORTED"):
                call(handle, *arguments)
    for call in (pynvml.nvmlDeviceGetPowerUsage, pynvml.nvmlDeviceGetTotalEnergyConsumption):
        with refused("NOT_SUPPORTED"):
            call(device)
    assert pynvml.nvmlDeviceGetMemoryInfo(device).total == 71168 * 2**20


def test_application_clocks_are_deprecated_everywhere(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb", mig=False)
    with refused("DEPRECATED"):
        pynvml.nvmlDeviceGetApplicationsClock(gpu, pynvml.NVML_CLOCK_SM)


def test_field_values_have_their_own_return_codes(gpu_of: Open) -> None:
    gpu = gpu_of("h200-141gb")
    asked = [82, 83, 185, 186, (186, 1), (185, 2), 74, 269, 5000]
    values = pynvml.nvmlDeviceGetFieldValues(gpu, asked)
    no = pynvml.NVML_ERROR_NOT_SUPPORTED
    assert [value.nvmlReturn for value in values] == [0, 0, 0, 0, no, 0, 0, 0, no]
    assert values[1].valueType == pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
    assert values[2].value.uiVal == pynvml.nvmlDeviceGetPowerUsage(gpu)
    assert values[6].value.ullVal == 0
    assert values[0].timestamp > 0


def test_gddr_boards_have_no_memory_temperature_and_turing_no_instant_power(gpu_of: Open) -> None:
    gpu = gpu_of("t4-16gb", mig=False)
    no = pynvml.NVML_ERROR_NOT_SUPPORTED
    assert [value.nvmlReturn for value in pynvml.nvmlDeviceGetFieldValues(gpu, [82, 185, 186])] == [no, 0, no]


def test_every_client_costs_the_same_power_and_energy_never_falls(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("a100-40gb", mig=False)
    uuid = pynvml.nvmlDeviceGetUUID(gpu)
    idle_mw, read = pynvml.nvmlDeviceGetPowerUsage(gpu), pynvml.nvmlDeviceGetTotalEnergyConsumption
    seen = [read(gpu)]
    while read(gpu) == seen[0]:
        pass  # until the counter moves
    seen += [read(gpu)]
    assert (seen[1] - seen[0]) % (idle_mw // 10) == 0  # by whole steps of 100 ms
    with beside(lambda: state.attach(file_of(tmp_path), uuid)):
        assert pynvml.nvmlDeviceGetPowerUsage(gpu) == 2 * idle_mw
        assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu) == 0
        while read(gpu) == seen[-1]:
            pass
        seen += [read(gpu)]
    seen += [read(gpu), read(gpu)]
    state.attach(file_of(tmp_path), uuid)
    seen += [read(gpu)]
    state.detach(file_of(tmp_path), uuid)
    seen += [read(gpu)]
    assert seen == sorted(seen)


def test_processes_are_counted_first_and_then_listed(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("a100-40gb", mig=False)
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(gpu) == []
    state.attach(file_of(tmp_path), pynvml.nvmlDeviceGetUUID(gpu))
    (process,) = pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)
    assert (process.pid, process.gpuInstanceId) == (os.getpid(), 0xFFFFFFFF)
    assert process.usedGpuMemory == pynvml.nvmlDeviceGetMemoryInfo(gpu).used
    count = ctypes.c_uint(0)
    code = pynvml.nvmlLib.nvmlDeviceGetComputeRunningProcesses_v3(gpu, ctypes.byref(count), None)
    assert (code, count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 1)


def test_gpm_tells_of_each_gpu_instance(gpu_of: Open, tmp_path: Path) -> None:
    gpu = gpu_of("h100-80gb")
    create(gpu, 9, 14)
    busy, idle = mig_uuids(gpu)
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 1
    state.attach(file_of(tmp_path), busy)
    assert utilisation(lambda sample: pynvml.nvmlGpmMigSampleGet(gpu, 2, sample)) == [100.0, None]
    assert utilisation(lambda sample: pynvml.nvmlGpmMigSampleGet(gpu, 3, sample)) == [0.0, None]
    assert utilisation(lambda sample: pynvml.nvmlGpmSampleGet(gpu, sample)) == [100.0, None]
    device = pynvml.nvmlDeviceGetHandleByUUID(idle)
    assert utilisation(lambda sample: pynvml.nvmlGpmSampleGet(device, sample)) == [0.0, None]
    with refused("INVALID_ARGUMENT"):
        utilisation(lambda sample: pynvml.nvmlGpmMigSampleGet(gpu, 9, sample))
    with refused("INVALID_ARGUMENT"):
        utilisation(lambda sample: None)  # nothing was sampled


def utilisation(take: Callable[[Any], object]) -> list[float | None]:
    """SM utilisation between two samples, and a metric that is not offered (None)."""
    asked = pynvml.c_nvmlGpmMetricsGet_t(version=pynvml.NVML_GPM_METRICS_GET_VERSION, numMetrics=2)
    asked.sample1, asked.sample2 = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    asked.metrics[0].metricId, asked.metrics[1].metricId = pynvml.NVML_GPM_METRIC_SM_UTIL, 61
    samples = (asked.sample1, asked.sample2)
    for sample in samples:
        take(sample)
    pynvml.nvmlGpmMetricsGet(asked)
    for sample in samples:
        pynvml.nvmlGpmSampleFree(sample)
    with refused("INVALID_ARGUMENT"):
        pynvml.nvmlGpmSampleFree(samples[0])
    return [metric.value if metric.nvmlReturn == 0 else None for metric in asked.metrics[:2]]


def test_gpm_is_not_on_ampere(gpu_of: Open) -> None:
    gpu = gpu_of("a100-40gb", mig=False)
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 0
    with refused("NOT_SUPPORTED"):
        pynvml.nvmlGpmSampleGet(gpu, pynvml.nvmlGpmSampleAlloc())
