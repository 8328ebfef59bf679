"""What a GPU is: identity and size from the catalog, and the settings of one in good order (ECC and persistence on)."""

from __future__ import annotations

from typing import Any

import pynvml

from bench.devices.rehearsal.arguments import check_version, fill, put, put_text, referred
from bench.devices.rehearsal.calls.library import BUS_ID, VERSIONS
from bench.devices.rehearsal.driver import GPU, Driver
from bench.devices.rehearsal.instances import clients, profile_of
from bench.devices.rehearsal.refusal import Refused

CORES_PER_SM = {"volta": 64, "turing": 64, "ampere": 64, "ada": 128, "hopper": 128, "blackwell": 128}
"""Ampere: of GA100, the only one in the catalog."""
CONTEXT_BYTES = 512 * 2**20
"""Memory that every context is said to use: a round figure, not a measured one."""
BEFORE_AMPERE = frozenset({"volta", "turing"})


def nvmlDeviceGetName(driver: Driver, device: Any, buffer: Any, length: Any) -> None:
    thing = driver.device(device)
    name = driver.state.faults.vgpu or driver.model.product
    if thing != GPU:
        outer, _ = driver.inside(thing)
        name = f"{name} MIG {profile_of(driver.model, outer.profile_id).name}"
    put_text(buffer, name, length)


def nvmlDeviceGetUUID(driver: Driver, device: Any, buffer: Any, length: Any) -> None:
    thing = driver.device(device)
    state = driver.state
    put_text(buffer, state.uuid if thing == GPU else state.mig_uuid(*driver.inside(thing)), length)


def nvmlDeviceGetIndex(driver: Driver, device: Any, index: Any) -> None:
    driver.gpu(device)
    put(index, 0)


def nvmlDeviceGetMinorNumber(driver: Driver, device: Any, minor: Any) -> None:
    driver.gpu(device)
    put(minor, 0)


def nvmlDeviceGetPciInfo_v3(driver: Driver, device: Any, info: Any) -> None:
    driver.gpu(device)
    ids = driver.model.pci_device_ids
    fill(
        referred(info), busIdLegacy=BUS_ID.removeprefix("0000").encode(), busId=BUS_ID.encode(), domain=0, bus=1,
        device=0, pciDeviceId=ids[0] if ids else 0, pciSubSystemId=0,
    )  # fmt: skip


def nvmlDeviceGetSerial(driver: Driver, device: Any, buffer: Any, length: Any) -> None:
    driver.gpu(device)
    put_text(buffer, "0", length)


def nvmlDeviceGetBoardPartNumber(driver: Driver, device: Any, buffer: Any, length: Any) -> None:
    driver.gpu(device)
    put_text(buffer, "rehearsal", length)


def nvmlDeviceGetVbiosVersion(driver: Driver, device: Any, buffer: Any, length: Any) -> None:
    driver.gpu(device)
    put_text(buffer, "rehearsal", length)


def nvmlDeviceGetInforomImageVersion(driver: Driver, device: Any, buffer: Any, length: Any) -> None:
    driver.gpu(device)
    put_text(buffer, "rehearsal", length)


def nvmlDeviceGetGspFirmwareVersion(driver: Driver, device: Any, buffer: Any) -> None:
    """As long as the driver's: 64 characters are promised by the caller. GSP came with Turing."""
    if driver.gpu(device) and driver.model.architecture == "volta":
        raise Refused("NOT_SUPPORTED")
    put_text(buffer, VERSIONS[driver.state.faults.driver], pynvml.NVML_GSP_FIRMWARE_VERSION_BUF_SIZE)


def nvmlDeviceGetArchitecture(driver: Driver, device: Any, architecture: Any) -> None:
    driver.gpu(device)
    put(architecture, getattr(pynvml, f"NVML_DEVICE_ARCH_{driver.model.architecture.upper()}"))


def nvmlDeviceGetCudaComputeCapability(driver: Driver, device: Any, major: Any, minor: Any) -> None:
    driver.gpu(device)
    capability = driver.model.compute_capability
    if capability is None:
        raise Refused("NOT_SUPPORTED")
    put(major, capability[0])
    put(minor, capability[1])


def nvmlDeviceGetNumGpuCores(driver: Driver, device: Any, cores: Any) -> None:
    driver.gpu(device)
    if driver.model.sm_count is None:
        raise Refused("NOT_SUPPORTED")
    put(cores, driver.model.sm_count * CORES_PER_SM[driver.model.architecture])


def nvmlDeviceGetMemoryInfo(driver: Driver, device: Any, info: Any) -> None:
    total, used = _memory(driver, device)
    fill(referred(info), total=total, used=used, free=max(0, total - used))


def nvmlDeviceGetMemoryInfo_v2(driver: Driver, device: Any, info: Any) -> None:
    check_version(referred(info), pynvml.nvmlMemory_v2)
    total, used = _memory(driver, device)
    fill(referred(info), total=total, used=used, free=max(0, total - used), reserved=0)


def _memory(driver: Driver, device: Any) -> tuple[int, int]:
    """Total and used bytes. All compute instances of a GPU instance share one memory."""
    thing = driver.device(device)
    state = driver.living
    if thing == GPU:
        if state.mig and state.faults.no_permission:
            raise Refused("NO_PERMISSION")
        total, holders = driver.model.memory_bytes, clients(state)
    else:
        outer, _ = driver.inside(thing)
        total = profile_of(driver.model, outer.profile_id).memory_bytes or 0
        holders = [pid for inner in outer.compute_instances for pid in clients(state, state.mig_uuid(outer, inner))]
    return total, min(total, len(holders) * CONTEXT_BYTES)


def nvmlDeviceGetEccMode(driver: Driver, device: Any, current: Any, pending: Any) -> None:
    driver.gpu(device)
    put(current, 1)
    put(pending, 1)


def nvmlDeviceGetRemappedRows(
    driver: Driver, device: Any, corrected: Any, uncorrected: Any, pending: Any, failed: Any
) -> None:
    if driver.gpu(device).instances or driver.model.architecture in BEFORE_AMPERE:
        raise Refused("NOT_SUPPORTED")
    for count in (corrected, uncorrected, pending, failed):
        put(count, 0)


def nvmlDeviceGetPersistenceMode(driver: Driver, device: Any, mode: Any) -> None:
    driver.gpu(device)
    put(mode, 1)


def nvmlDeviceGetComputeMode(driver: Driver, device: Any, mode: Any) -> None:
    driver.gpu(device)
    put(mode, pynvml.NVML_COMPUTEMODE_DEFAULT)


def nvmlDeviceGetVirtualizationMode(driver: Driver, device: Any, mode: Any) -> None:
    faults = driver.gpu(device).faults
    if faults.vgpu:
        put(mode, pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU)
    elif faults.passthrough:
        put(mode, pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH)
    else:
        put(mode, pynvml.NVML_GPU_VIRTUALIZATION_MODE_NONE)
