"""MIG devices: compute instances as devices of their own, with UUIDs that CUDA takes."""

from __future__ import annotations

from typing import Any

from bench.devices.rehearsal.arguments import fill, number, put, put_handle, referred
from bench.devices.rehearsal.calls.compute_instances import multiprocessors
from bench.devices.rehearsal.calls.gpu_instances import MIB
from bench.devices.rehearsal.calls.mode import in_mig
from bench.devices.rehearsal.driver import GPU, Driver, Thing
from bench.devices.rehearsal.instances import profile_of
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import ComputeInstance, GpuInstance


def nvmlDeviceIsMigDeviceHandle(driver: Driver, device: Any, is_mig: Any) -> None:
    put(is_mig, int(driver.device(device) != GPU))


def nvmlDeviceGetMaxMigDeviceCount(driver: Driver, device: Any, count: Any) -> None:
    """0, and no error, where there is no MIG or where it is off: so says nvml.h."""
    state = driver.gpu(device)
    put(count, driver.model.compute_slices if state.mig else 0)


def nvmlDeviceGetMigDeviceHandleByIndex(driver: Driver, device: Any, index: Any, mig_device: Any) -> None:
    """Indices keep their device while it lives, so a destroyed one leaves a hole."""
    state = in_mig(driver, device)
    if number(index) >= driver.model.compute_slices:
        raise Refused("INVALID_ARGUMENT")
    for outer in state.instances:
        for inner in outer.compute_instances:
            if inner.index == number(index):
                put_handle(mig_device, driver.handle(Thing("mig", inner.serial)))
                return
    raise Refused("NOT_FOUND")


def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(driver: Driver, mig_device: Any, device: Any) -> None:
    _of(driver, mig_device)
    put_handle(device, driver.handle(GPU))


def nvmlDeviceGetGpuInstanceId(driver: Driver, device: Any, instance_id: Any) -> None:
    put(instance_id, _of(driver, device)[0].number)


def nvmlDeviceGetComputeInstanceId(driver: Driver, device: Any, instance_id: Any) -> None:
    put(instance_id, _of(driver, device)[1].number)


def nvmlDeviceGetAttributes_v2(driver: Driver, device: Any, attributes: Any) -> None:
    """Of MIG devices only."""
    if driver.device(device) == GPU:
        raise Refused("NOT_SUPPORTED")
    outer, inner = _of(driver, device)
    profile = profile_of(driver.model, outer.profile_id)
    fill(
        referred(attributes), multiprocessorCount=multiprocessors(driver.model, profile, inner.size),
        sharedCopyEngineCount=profile.copy_engines, sharedDecoderCount=profile.decoders,
        sharedEncoderCount=profile.encoders, sharedJpegCount=profile.jpegs, sharedOfaCount=profile.ofas,
        gpuInstanceSliceCount=profile.compute_slices, computeInstanceSliceCount=inner.size,
        memorySizeMB=(profile.memory_bytes or 0) // MIB,
    )  # fmt: skip


def _of(driver: Driver, device: Any) -> tuple[GpuInstance, ComputeInstance]:
    """The instances of a MIG device. Raises Refused INVALID_ARGUMENT for the GPU."""
    driver.thing(device, "mig")
    return driver.inside(driver.device(device))
