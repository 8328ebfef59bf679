"""The library itself, the driver's versions, and finding the GPU."""

from __future__ import annotations

from typing import Any

import pynvml

from bench.devices.rehearsal.arguments import number, put, put_handle, put_text
from bench.devices.rehearsal.driver import GPU, Driver, Thing
from bench.devices.rehearsal.refusal import Refused

VERSIONS = {"r590": "590.48.01", "r610": "610.57.04"}
"""Drivers whose symbols were published (facts, section 3)."""
CUDA_VERSION = 13000
"""CUDA 13.0. What these two drivers say beyond the 13 is not known here."""
BUS_ID = "00000000:01:00.0"
WITHOUT_SESSION = frozenset({"nvmlInit", "nvmlInit_v2", "nvmlInitWithFlags", "nvmlErrorString"})
"""All that can be called before NVML is initialised."""


def nvmlInit(driver: Driver) -> None:
    driver.initialise()


def nvmlInit_v2(driver: Driver) -> None:
    driver.initialise()


def nvmlInitWithFlags(driver: Driver, flags: Any) -> None:
    driver.initialise()


def nvmlShutdown(driver: Driver) -> None:
    driver.shut_down()


def nvmlErrorString(driver: Driver, result: Any) -> bytes:
    code = number(result)
    names = [name for name in vars(pynvml) if name.startswith("NVML_ERROR_") and getattr(pynvml, name) == code]
    words = names[0].removeprefix("NVML_ERROR_").replace("_", " ").title() if names else "Unknown Error"
    return words.encode()


def nvmlSystemGetDriverVersion(driver: Driver, buffer: Any, length: Any) -> None:
    put_text(buffer, VERSIONS[driver.state.faults.driver], length)


def nvmlSystemGetNVMLVersion(driver: Driver, buffer: Any, length: Any) -> None:
    put_text(buffer, f"13.{VERSIONS[driver.state.faults.driver]}", length)


def nvmlSystemGetCudaDriverVersion(driver: Driver, version: Any) -> None:
    put(version, CUDA_VERSION)


nvmlSystemGetCudaDriverVersion_v2 = nvmlSystemGetCudaDriverVersion


def nvmlDeviceGetCount_v2(driver: Driver, count: Any) -> None:
    put(count, 1)


def nvmlDeviceGetHandleByIndex_v2(driver: Driver, index: Any, device: Any) -> None:
    if number(index) != 0:
        raise Refused("INVALID_ARGUMENT")
    _give_gpu(driver, device)


def nvmlDeviceGetHandleByUUID(driver: Driver, uuid: Any, device: Any) -> None:
    """Of the GPU or of a MIG device."""
    state, wanted = driver.state, uuid.value.decode()
    if wanted == state.uuid:
        _give_gpu(driver, device)
        return
    for outer in state.instances:
        for inner in outer.compute_instances:
            if state.mig_uuid(outer, inner) == wanted:
                driver.refuse_lost()
                put_handle(device, driver.handle(Thing("mig", inner.serial)))
                return
    raise Refused("NOT_FOUND")


def nvmlDeviceGetHandleByPciBusId_v2(driver: Driver, bus_id: Any, device: Any) -> None:
    """The domain may have eight digits, four, or be left out."""
    if bus_id.value.decode() not in (BUS_ID, BUS_ID.removeprefix("0000"), BUS_ID.removeprefix("00000000:")):
        raise Refused("NOT_FOUND")
    _give_gpu(driver, device)


def _give_gpu(driver: Driver, device: Any) -> None:
    driver.refuse_lost()
    put_handle(device, driver.handle(GPU))
