"""GPU instances: what profiles there are, where they fit, creating, finding and destroying them."""

from __future__ import annotations

from typing import Any

import pynvml

from bench.devices.geometry import Profile
from bench.devices.rehearsal import instances
from bench.devices.rehearsal.arguments import (
    check_version,
    fill,
    number,
    put,
    put_handle,
    put_handles,
    referred,
    write_handle,
)
from bench.devices.rehearsal.calls.mode import can_mig, in_mig, privileged
from bench.devices.rehearsal.driver import GPU, Driver, Thing
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import GpuInstance

MIB = 2**20


def nvmlDeviceGetGpuInstanceProfileInfo(driver: Driver, device: Any, profile: Any, info: Any) -> None:
    can_mig(driver, device)
    _fill_info(referred(info), _by_enum(driver, number(profile)))


def nvmlDeviceGetGpuInstanceProfileInfoV(driver: Driver, device: Any, profile: Any, info: Any) -> None:
    check_version(referred(info), pynvml.nvmlGpuInstanceProfileInfo_v2)
    can_mig(driver, device)
    found = _by_enum(driver, number(profile))
    _fill_info(referred(info), found)
    fill(referred(info), name=f"MIG {found.name}")


def nvmlDeviceGetGpuInstanceProfileInfoByIdV(driver: Driver, device: Any, profile_id: Any, info: Any) -> None:
    check_version(referred(info), pynvml.nvmlGpuInstanceProfileInfo_v2)
    can_mig(driver, device)
    found = instances.profile_of(driver.model, number(profile_id))
    _fill_info(referred(info), found)
    fill(referred(info), name=f"MIG {found.name}")


def nvmlDeviceGetGpuInstancePossiblePlacements_v2(
    driver: Driver, device: Any, profile_id: Any, placements: Any, count: Any
) -> None:
    """All places of the profile, whether or not they are taken."""
    in_mig(driver, device)
    privileged(driver)
    profile = instances.profile_of(driver.model, number(profile_id))
    put(count, len(profile.starts))
    if placements is not None:
        for place, start in zip(referred(placements), profile.starts, strict=False):
            fill(place, start=start, size=profile.size)


def nvmlDeviceGetGpuInstanceRemainingCapacity(driver: Driver, device: Any, profile_id: Any, count: Any) -> None:
    state = in_mig(driver, device)
    privileged(driver)
    put(count, instances.capacity(state, instances.profile_of(driver.model, number(profile_id))))


def nvmlDeviceCreateGpuInstance(driver: Driver, device: Any, profile_id: Any, instance: Any) -> None:
    in_mig(driver, device)
    _create(driver, number(profile_id), None, instance)


def nvmlDeviceCreateGpuInstanceWithPlacement(
    driver: Driver, device: Any, profile_id: Any, placement: Any, instance: Any
) -> None:
    in_mig(driver, device)
    place = referred(placement)
    if place.size != instances.profile_of(driver.model, number(profile_id)).size:
        raise Refused("INVALID_ARGUMENT")
    _create(driver, number(profile_id), place.start, instance)


def nvmlGpuInstanceDestroy(driver: Driver, instance: Any) -> None:
    privileged(driver)
    serial = driver.gpu_instance(instance).serial
    driver.update(lambda state: instances.destroy_gpu_instance(state, instances.by_serial(state, serial)))


def nvmlDeviceGetGpuInstances(driver: Driver, device: Any, profile_id: Any, array: Any, count: Any) -> None:
    state = in_mig(driver, device)
    privileged(driver)
    wanted = instances.profile_of(driver.model, number(profile_id)).id
    found = [_handle(driver, one) for one in state.instances if one.profile_id == wanted]
    put_handles(array, found, count)


def nvmlDeviceGetGpuInstanceById(driver: Driver, device: Any, instance_id: Any, instance: Any) -> None:
    state = in_mig(driver, device)
    privileged(driver)
    for one in state.instances:
        if one.number == number(instance_id):
            put_handle(instance, _handle(driver, one))
            return
    raise Refused("NOT_FOUND")


def nvmlGpuInstanceGetInfo(driver: Driver, instance: Any, info: Any) -> None:
    found, target = driver.gpu_instance(instance), referred(info)
    write_handle(target.device, driver.handle(GPU))
    fill(target, id=found.number, profileId=found.profile_id)
    fill(target.placement, start=found.start, size=found.size)


def _create(driver: Driver, profile_id: int, start: int | None, instance: Any) -> None:
    privileged(driver)
    model = driver.model
    profile = instances.profile_of(model, profile_id)
    after = driver.update(lambda state: instances.create_gpu_instance(state, model, profile, start))
    put_handle(instance, _handle(driver, after.instances[-1]))


def _handle(driver: Driver, instance: GpuInstance) -> int:
    return driver.handle(Thing("gpu instance", instance.serial))


def _by_enum(driver: Driver, enum: int) -> Profile:
    if enum >= pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT:
        raise Refused("INVALID_ARGUMENT")
    found = next((profile for profile in driver.model.profiles if profile.enum == enum), None)
    if found is None or found.id is None:
        raise Refused("NOT_SUPPORTED")
    return found


def _fill_info(info: Any, profile: Profile) -> None:
    fill(
        info, id=profile.id, isP2pSupported=0, sliceCount=profile.compute_slices, instanceCount=profile.max_instances,
        multiprocessorCount=profile.sm_count, copyEngineCount=profile.copy_engines, decoderCount=profile.decoders,
        encoderCount=profile.encoders, jpegCount=profile.jpegs, ofaCount=profile.ofas,
        memorySizeMB=(profile.memory_bytes or 0) // MIB,
    )  # fmt: skip
