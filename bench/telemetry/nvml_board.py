"""What a GPU's sensors and counters tell, of the whole board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.contract import BOARD, Reading
from bench.devices.gpu_words import THROTTLE_COUNTERS, field_value
from bench.telemetry.nvml_calls import Calls

Metrics = Mapping[str, tuple[str, float]]
"""By NVML's name: the metric, and its unit in NVML's."""
FIELDS: Metrics = {
    "NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("energy_j", 1e-3),
    "NVML_FI_DEV_POWER_AVERAGE": ("power_average_w", 1e-3),
    "NVML_FI_DEV_POWER_INSTANT": ("power_instant_w", 1e-3),
}
"""What is needed at the window's edges. NVML counts mJ and mW; energy is a total since the driver was loaded."""
SLOW_FIELDS: Metrics = {
    "NVML_FI_DEV_MEMORY_TEMP": ("memory_temperature_c", 1.0),
    **{constant: (f"throttled_{name}_s", 1e-9) for name, constant in THROTTLE_COUNTERS.items()},
}
"""Throttled times are totals in ns (nvml.h, and DCGM's names of the event reasons), so nothing is missed between two
looks. Each is one more question to the driver, so they are not read in every tick, as the event reasons are."""

BOARD_SCOPE = 0
"""Of power fields: the GPU's, not its memory's or module's (nvml.h)."""


class Fields:
    """Many counters in one call; each entry has its own return code. What is not offered is asked for once."""

    def __init__(self, calls: Calls, handle: Any, metrics: Metrics) -> None:
        self._calls = calls
        self._handle = handle
        self._wanted = [(getattr(calls.pynvml, name), *metric) for name, metric in metrics.items()]

    def read(self) -> Iterator[Reading]:
        if not self._wanted:
            return
        ids = [(number, BOARD_SCOPE) for number, _, _ in self._wanted]
        entries = self._calls.ask("nvmlDeviceGetFieldValues", self._handle, ids)
        offered = []
        for wanted, entry in zip(self._wanted, entries or (), strict=False):
            if (value := field_value(entry)) is not None:
                offered.append(wanted)
                _, metric, unit = wanted
                yield BOARD, metric, value * unit
        self._wanted = offered


class Probe(NamedTuple):
    """One call and the one reading it gives."""

    call: str
    arguments: tuple[Any, ...]
    metric: str
    value: Callable[[Any], float]


class Probes:
    """Calls of one reading each. What is not offered (utilisation under MIG, say) is asked for once."""

    def __init__(self, calls: Calls, probes: Sequence[Probe]) -> None:
        self._calls = calls
        self._probes = tuple(probes)

    def read(self) -> Iterator[Reading]:
        absent = []
        for probe in self._probes:
            answer = self._calls.ask(probe.call, *probe.arguments)
            if answer is None:
                absent.append(probe)
            else:
                yield BOARD, probe.metric, probe.value(answer)
        if absent:
            self._probes = tuple(probe for probe in self._probes if probe not in absent)


def every_tick(calls: Calls, handle: Any) -> Probes:
    """What changes from one tick to the next."""
    nvml = calls.pynvml
    return Probes(
        calls,
        [
            Probe("nvmlDeviceGetClockInfo", (handle, nvml.NVML_CLOCK_SM), "sm_clock_hz", lambda mhz: mhz * 1e6),
            Probe("nvmlDeviceGetCurrentClocksEventReasons", (handle,), "event_reasons", float),
            Probe("nvmlDeviceGetUtilizationRates", (handle,), "utilization_share", lambda rates: rates.gpu / 100),
        ],
    )


def now_and_then(calls: Calls, handle: Any) -> Probes:
    """What changes slowly. nvmlDeviceGetPowerUsage gives an average over a second or not, by the GPU's generation
    (nvml.h); average and instant power, where they are offered, say which they are."""
    nvml = calls.pynvml
    return Probes(
        calls,
        [
            Probe("nvmlDeviceGetMemoryInfo", (handle,), "memory_used_bytes", lambda memory: memory.used),
            Probe("nvmlDeviceGetClockInfo", (handle, nvml.NVML_CLOCK_MEM), "memory_clock_hz", lambda mhz: mhz * 1e6),
            Probe("nvmlDeviceGetTemperature", (handle, nvml.NVML_TEMPERATURE_GPU), "temperature_c", float),
            Probe("nvmlDeviceGetPerformanceState", (handle,), "performance_state", float),
            Probe("nvmlDeviceGetPowerUsage", (handle,), "power_w", lambda mw: mw * 1e-3),
        ],
    )


def limits(calls: Calls, handle: Any) -> Iterator[Reading]:
    """What does not change in a trial."""
    limit_mw = calls.ask("nvmlDeviceGetEnforcedPowerLimit", handle)
    if limit_mw is not None:
        yield BOARD, "power_limit_w", limit_mw * 1e-3
    highest_mhz = calls.ask("nvmlDeviceGetMaxClockInfo", handle, calls.pynvml.NVML_CLOCK_SM)
    if highest_mhz is not None:
        yield BOARD, "sm_clock_limit_hz", highest_mhz * 1e6
