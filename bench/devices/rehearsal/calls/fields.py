"""Field values: many readings in one call, each with its own return code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

from bench import clock
from bench.devices.catalog import GpuModel
from bench.devices.rehearsal.arguments import fill, number, referred
from bench.devices.rehearsal.calls.device import BEFORE_AMPERE
from bench.devices.rehearsal.calls.sensors import IDLE_MW, LIMIT_MW, TEMPERATURE_C, energy_mj, power_mw
from bench.devices.rehearsal.driver import Driver
from bench.devices.rehearsal.refusal import Refused

WITHOUT_MEMORY_SENSOR = frozenset({(7, 5), (8, 9), (12, 0)})
"""Compute capabilities of boards with GDDR memory."""
GPU_SCOPE, MEMORY_SCOPE = 0, 2
UINT, ULONGLONG = "uiVal", "ullVal"
TYPES = {UINT: pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, ULONGLONG: pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG}

THROTTLE_COUNTERS = (
    *range(pynvml.NVML_FI_DEV_PERF_POLICY_POWER, pynvml.NVML_FI_DEV_PERF_POLICY_TOTAL_BASE_CLOCKS + 1),
    pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN,
    pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN,
    pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
)
"""Nanoseconds, by cause."""

Read = Callable[[Driver, int], int]


def _memory_temperature(driver: Driver, scope: int) -> int:
    if driver.model.compute_capability in WITHOUT_MEMORY_SENSOR:
        raise Refused("NOT_SUPPORTED")
    return TEMPERATURE_C


def _average_power(driver: Driver, scope: int) -> int:
    """Of the board; on Hopper and newer of the memory too, whose share is as round as the rest."""
    if scope == MEMORY_SCOPE and _new(driver.model):
        return IDLE_MW
    return _of_gpu(power_mw(driver), scope)


def _instant_power(driver: Driver, scope: int) -> int:
    if driver.model.architecture in BEFORE_AMPERE:
        raise Refused("NOT_SUPPORTED")
    return _of_gpu(power_mw(driver), scope)


def _limit(driver: Driver, scope: int) -> int:
    return _of_gpu(LIMIT_MW, scope)


def _of_gpu(value: int, scope: int) -> int:
    """A module's power is not told on the boards whose captures were published."""
    if scope != GPU_SCOPE:
        raise Refused("NOT_SUPPORTED")
    return value


def _never(driver: Driver, scope: int) -> int:
    """A rehearsed GPU is never throttled."""
    return 0


def _new(model: GpuModel) -> bool:
    return model.architecture in ("hopper", "blackwell")


FIELDS: dict[int, tuple[str, Read]] = {
    pynvml.NVML_FI_DEV_MEMORY_TEMP: (UINT, _memory_temperature),
    pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: (ULONGLONG, lambda driver, scope: energy_mj(driver)),
    pynvml.NVML_FI_DEV_POWER_AVERAGE: (UINT, _average_power),
    pynvml.NVML_FI_DEV_POWER_INSTANT: (UINT, _instant_power),
    pynvml.NVML_FI_DEV_POWER_MIN_LIMIT: (UINT, lambda driver, scope: _of_gpu(IDLE_MW, scope)),
    pynvml.NVML_FI_DEV_POWER_MAX_LIMIT: (UINT, _limit),
    pynvml.NVML_FI_DEV_POWER_DEFAULT_LIMIT: (UINT, _limit),
    pynvml.NVML_FI_DEV_POWER_CURRENT_LIMIT: (UINT, _limit),
    pynvml.NVML_FI_DEV_POWER_REQUESTED_LIMIT: (UINT, _limit),
    **dict.fromkeys(THROTTLE_COUNTERS, (ULONGLONG, _never)),
}


def nvmlDeviceGetFieldValues(driver: Driver, device: Any, count: Any, values: Any) -> None:
    """Timestamps are microseconds of the monotonic clock, not since 1970 as the driver's."""
    driver.gpu(device)
    for entry in referred(values)[: number(count)]:
        kind, read = FIELDS.get(entry.fieldId, (UINT, None))
        try:
            if read is None:
                raise Refused("NOT_SUPPORTED")
            setattr(entry.value, kind, read(driver, entry.scopeId))
        except Refused as refusal:
            fill(entry, nvmlReturn=refusal.code)
        else:
            fill(entry, nvmlReturn=0, valueType=TYPES[kind], timestamp=clock.now_ns() // 1000, latencyUsec=0)
