"""The machine as an operating system tells of it. Linux where it can, portable where it must."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from bench.contract import Device


def usable_cpus() -> tuple[int, ...]:
    """Logical CPUs that this process may run on, in order."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def cpu_name() -> str:
    """Marketing name of the processor, or its architecture where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_device() -> Device:
    """The CPU as a device to divide: the cores that this process may use."""
    cpus = usable_cpus()
    return Device(
        kind="cpu",
        name=f"CPU {cpu_name()} ({len(cpus)} cores)",
        cpus=cpus,
        memory_bytes=psutil.virtual_memory().total,
    )


def nvidia_gpu_present() -> bool:
    """Whether a driver has put an NVIDIA GPU in sight, so that users are told it is not used."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists()
