"""NVML's numbers in words. Names of constants are those of nvml.h and nvidia-ml-py."""

from __future__ import annotations

from typing import Any

EVENT_REASONS = {
    0x1: "gpu idle",
    0x2: "applications clocks setting",
    0x4: "sw power cap",
    0x8: "hw slowdown",
    0x10: "sync boost",
    0x20: "sw thermal slowdown",
    0x40: "hw thermal slowdown",
    0x80: "hw power brake slowdown",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability",
}
"""Why clocks are not at their highest now (nvmlClocksEventReason...)."""
THROTTLING = frozenset(EVENT_REASONS.values()) - {
    "gpu idle",
    "applications clocks setting",
    "display clock setting",
}
"""Reasons that nobody chose."""

COMPUTE_MODES = ("default", "exclusive thread", "prohibited", "exclusive process")

CLOCKS = {"graphics": "NVML_CLOCK_GRAPHICS", "sm": "NVML_CLOCK_SM", "memory": "NVML_CLOCK_MEM"}

THROTTLE_COUNTERS = {
    "power": "NVML_FI_DEV_PERF_POLICY_POWER",
    "thermal": "NVML_FI_DEV_PERF_POLICY_THERMAL",
    "sync_boost": "NVML_FI_DEV_PERF_POLICY_SYNC_BOOST",
    "board_limit": "NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT",
    "low_utilization": "NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION",
    "reliability": "NVML_FI_DEV_PERF_POLICY_RELIABILITY",
    "application_clocks": "NVML_FI_DEV_PERF_POLICY_TOTAL_APP_CLOCKS",
    "base_clocks": "NVML_FI_DEV_PERF_POLICY_TOTAL_BASE_CLOCKS",
    "software_thermal": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
    "hardware_thermal": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN",
    "power_brake": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN",
}
"""Time spent so since the driver was loaded, ns."""

NO_INSTANCE = 0xFFFFFFFF
"""GPU instance of a process on a GPU without MIG (nvml.h)."""
PROCESS_LISTS = {
    "compute": "nvmlDeviceGetComputeRunningProcesses_v3",
    "mps": "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "graphics": "nvmlDeviceGetGraphicsRunningProcesses_v3",
}
"""With their version: without it nvidia-ml-py raises something that is no NVMLError where a driver lacks them."""

_FIELD_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Members of NVML's union of values, in the order of its value types."""


def event_reasons(mask: int) -> list[str]:
    """A bit without a name is told as its number: later drivers may have more."""
    bits = [1 << position for position in range(mask.bit_length()) if mask >> position & 1]
    return [EVENT_REASONS.get(bit, hex(bit)) for bit in bits]


def field_value(entry: Any) -> int | float | None:
    """What a field value holds; None: this field is not offered."""
    if entry.nvmlReturn != 0 or entry.valueType >= len(_FIELD_MEMBERS):
        return None
    value: int | float = getattr(entry.value, _FIELD_MEMBERS[entry.valueType])
    return value


def bits(words: Any) -> list[int]:
    """Numbers of the bits that are set in an array of 64-bit words: CPUs, or NUMA nodes."""
    return [64 * index + bit for index, word in enumerate(words) for bit in range(64) if word >> bit & 1]
