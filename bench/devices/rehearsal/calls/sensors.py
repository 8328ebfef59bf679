"""What changes while a GPU works. All figures are round placeholders, which nobody can take for measured ones:
50 W and 50 W more per client, 1000 MHz, 40 degrees, a link of generation 1 and width 1.

On MIG devices NVML's answers are mostly not verified (facts, section 3): here they are NOT_SUPPORTED."""

from __future__ import annotations

from typing import Any

import pynvml

from bench.devices.rehearsal.arguments import check_version, fill, number, put, referred
from bench.devices.rehearsal.driver import Driver
from bench.devices.rehearsal.instances import clients
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import held_ns

IDLE_MW = 50_000
CLIENT_MW = 50_000
LIMIT_MW = 1_000_000
CLOCK_MHZ = 1000
TEMPERATURE_C = 40
STUCK_MJ = 1_000_000
EVENT_REASONS = 0x1FF
"""Those that an H200 supports."""
NS_PER_S = 1_000_000_000


def power_mw(driver: Driver) -> int:
    state, _ = driver.sense()
    return IDLE_MW + CLIENT_MW * len(clients(state))


def energy_mj(driver: Driver) -> int:
    """The integral of the power since the machine was booted, in steps of 100 ms. It never falls."""
    state, now_ns = driver.sense()
    if state.faults.stuck_energy:
        return STUCK_MJ
    clients_ns = state.client_ns + held_ns(state.contexts, now_ns)
    if state.faults.foreign_process is not None:
        clients_ns += now_ns
    return (IDLE_MW * now_ns + CLIENT_MW * clients_ns) // NS_PER_S


def nvmlDeviceGetPowerUsage(driver: Driver, device: Any, power: Any) -> None:
    driver.gpu(device)
    put(power, power_mw(driver))


def nvmlDeviceGetTotalEnergyConsumption(driver: Driver, device: Any, energy: Any) -> None:
    driver.gpu(device)
    put(energy, energy_mj(driver))


def nvmlDeviceGetPowerManagementLimit(driver: Driver, device: Any, limit: Any) -> None:
    driver.gpu(device)
    put(limit, LIMIT_MW)


nvmlDeviceGetPowerManagementDefaultLimit = nvmlDeviceGetPowerManagementLimit
nvmlDeviceGetEnforcedPowerLimit = nvmlDeviceGetPowerManagementLimit


def nvmlDeviceGetPowerManagementLimitConstraints(driver: Driver, device: Any, lowest: Any, highest: Any) -> None:
    driver.gpu(device)
    put(lowest, IDLE_MW)
    put(highest, LIMIT_MW)


def nvmlDeviceGetTemperature(driver: Driver, device: Any, sensor: Any, temperature: Any) -> None:
    driver.gpu(device)
    put(temperature, _temperature_c(sensor))


def nvmlDeviceGetTemperatureV(driver: Driver, device: Any, temperature: Any) -> None:
    asked = referred(temperature)
    check_version(asked, pynvml.nvmlTemperature_v1)
    driver.gpu(device)
    fill(asked, temperature=_temperature_c(asked.sensorType))


def _temperature_c(sensor: Any) -> int:
    if number(sensor) != pynvml.NVML_TEMPERATURE_GPU:
        raise Refused("INVALID_ARGUMENT")
    return TEMPERATURE_C


def nvmlDeviceGetClockInfo(driver: Driver, device: Any, kind: Any, clock: Any) -> None:
    driver.gpu(device)
    if number(kind) >= pynvml.NVML_CLOCK_COUNT:
        raise Refused("INVALID_ARGUMENT")
    put(clock, CLOCK_MHZ)


nvmlDeviceGetMaxClockInfo = nvmlDeviceGetClockInfo


def nvmlDeviceGetApplicationsClock(driver: Driver, device: Any, kind: Any, clock: Any) -> None:
    driver.gpu(device)
    raise Refused("DEPRECATED")


nvmlDeviceGetDefaultApplicationsClock = nvmlDeviceGetApplicationsClock


def nvmlDeviceGetSupportedClocksEventReasons(driver: Driver, device: Any, reasons: Any) -> None:
    driver.gpu(device)
    put(reasons, EVENT_REASONS)


def nvmlDeviceGetCurrentClocksEventReasons(driver: Driver, device: Any, reasons: Any) -> None:
    driver.gpu(device)
    state, _ = driver.sense()
    busy = bool(clients(state))
    put(reasons, pynvml.nvmlClocksEventReasonNone if busy else pynvml.nvmlClocksEventReasonGpuIdle)


nvmlDeviceGetSupportedClocksThrottleReasons = nvmlDeviceGetSupportedClocksEventReasons
nvmlDeviceGetCurrentClocksThrottleReasons = nvmlDeviceGetCurrentClocksEventReasons


def nvmlDeviceGetPerformanceState(driver: Driver, device: Any, pstate: Any) -> None:
    driver.gpu(device)
    put(pstate, 0)


def nvmlDeviceGetCurrPcieLinkGeneration(driver: Driver, device: Any, value: Any) -> None:
    driver.gpu(device)
    put(value, 1)


nvmlDeviceGetMaxPcieLinkGeneration = nvmlDeviceGetCurrPcieLinkGeneration
nvmlDeviceGetCurrPcieLinkWidth = nvmlDeviceGetCurrPcieLinkGeneration
nvmlDeviceGetMaxPcieLinkWidth = nvmlDeviceGetCurrPcieLinkGeneration


def nvmlDeviceGetPcieThroughput(driver: Driver, device: Any, counter: Any, throughput: Any) -> None:
    driver.gpu(device)
    if number(counter) >= pynvml.NVML_PCIE_UTIL_COUNT:
        raise Refused("INVALID_ARGUMENT")
    put(throughput, 0)


def nvmlDeviceGetUtilizationRates(driver: Driver, device: Any, rates: Any) -> None:
    """None under MIG: neither of the GPU nor of its instances."""
    if driver.gpu(device).mig:
        raise Refused("NOT_SUPPORTED")
    state, _ = driver.sense()
    percent = 100 if clients(state) else 0
    fill(referred(rates), gpu=percent, memory=percent)
