"""Compute instances within a GPU instance. They share its memory and engines."""

from __future__ import annotations

from typing import Any

import pynvml

from bench.devices.catalog import GpuModel
from bench.devices.geometry import Profile
from bench.devices.rehearsal import instances
from bench.devices.rehearsal.arguments import (
    check_version,
    fill,
    number,
    put_handle,
    put_handles,
    referred,
    write_handle,
)
from bench.devices.rehearsal.calls.mode import privileged
from bench.devices.rehearsal.driver import GPU, Driver, Thing
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import ComputeInstance


def nvmlGpuInstanceGetComputeInstanceProfileInfo(
    driver: Driver, instance: Any, profile: Any, engines: Any, info: Any
) -> None:
    _describe(driver, instance, number(profile), number(engines), referred(info))


def nvmlGpuInstanceGetComputeInstanceProfileInfoV(
    driver: Driver, instance: Any, profile: Any, engines: Any, info: Any
) -> None:
    check_version(referred(info), pynvml.nvmlComputeInstanceProfileInfo_v2)
    outer, size = _describe(driver, instance, number(profile), number(engines), referred(info))
    part = "" if size == outer.compute_slices else f"{size}c."
    fill(referred(info), name=f"MIG {part}{outer.name}")


def nvmlGpuInstanceCreateComputeInstance(driver: Driver, instance: Any, profile_id: Any, created: Any) -> None:
    privileged(driver)
    serial, model = driver.gpu_instance(instance).serial, driver.model
    after = driver.update(
        lambda state: instances.create_compute_instance(
            state, model, instances.by_serial(state, serial), number(profile_id)
        )
    )
    newest = instances.by_serial(after, serial).compute_instances[-1]
    put_handle(created, _handle(driver, newest))


def nvmlComputeInstanceDestroy(driver: Driver, instance: Any) -> None:
    privileged(driver)
    serial = driver.compute_instance(instance)[1].serial
    driver.update(lambda state: instances.destroy_compute_instance(state, *instances.inside(state, serial)))


def nvmlGpuInstanceGetComputeInstances(driver: Driver, instance: Any, profile_id: Any, array: Any, count: Any) -> None:
    privileged(driver)
    outer = driver.gpu_instance(instance)
    wanted = number(profile_id)
    instances.compute_size(instances.profile_of(driver.model, outer.profile_id).compute_slices, wanted)
    put_handles(array, [_handle(driver, one) for one in outer.compute_instances if one.profile == wanted], count)


def nvmlGpuInstanceGetComputeInstanceById(driver: Driver, instance: Any, wanted: Any, found: Any) -> None:
    privileged(driver)
    for one in driver.gpu_instance(instance).compute_instances:
        if one.number == number(wanted):
            put_handle(found, _handle(driver, one))
            return
    raise Refused("NOT_FOUND")


def nvmlComputeInstanceGetInfo_v2(driver: Driver, instance: Any, info: Any) -> None:
    outer, inner = driver.compute_instance(instance)
    target = referred(info)
    write_handle(target.device, driver.handle(GPU))
    write_handle(target.gpuInstance, driver.handle(Thing("gpu instance", outer.serial)))
    fill(target, id=inner.number, profileId=inner.profile)
    fill(target.placement, start=inner.start, size=inner.size)


def multiprocessors(model: GpuModel, outer: Profile, size: int) -> int:
    """Of a compute instance of `size` slices. A GPU instance in parts has fewer than a whole one: 1c and 2c of a 3g on
    an H200 have 16 and 32, the whole 60 (facts, section 1). 0: not known."""
    if size == outer.compute_slices:
        return outer.sm_count or 0
    slice_of_one = next((profile.sm_count for profile in model.profiles if profile.enum == 0), None)
    return size * (slice_of_one or 0)


def _describe(driver: Driver, instance: Any, profile: int, engines: int, info: Any) -> tuple[Profile, int]:
    outer = instances.profile_of(driver.model, driver.gpu_instance(instance).profile_id)
    if (
        profile >= pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT
        or engines >= pynvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_COUNT
    ):
        raise Refused("INVALID_ARGUMENT")
    size = instances.compute_size(outer.compute_slices, profile)
    fill(
        info, id=profile, sliceCount=size, instanceCount=len(instances.compute_starts(outer.compute_slices, size)),
        multiprocessorCount=multiprocessors(driver.model, outer, size), sharedCopyEngineCount=outer.copy_engines,
        sharedDecoderCount=outer.decoders, sharedEncoderCount=outer.encoders, sharedJpegCount=outer.jpegs,
        sharedOfaCount=outer.ofas,
    )  # fmt: skip
    return outer, size


def _handle(driver: Driver, instance: ComputeInstance) -> int:
    return driver.handle(Thing("compute instance", instance.serial))
