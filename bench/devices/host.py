"""The machine as an operating system tells of it. Linux where it can, portable where it must."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

import psutil

from bench.contract import Device

CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_cpus() -> tuple[int, ...]:
    """Logical CPUs that this process may run on, in order; no more of them than a cgroup's quota pays for."""
    if hasattr(os, "sched_getaffinity"):
        cpus = tuple(sorted(os.sched_getaffinity(0)))
    else:
        cpus = tuple(range(os.cpu_count() or 1))
    quota = cpu_quota()
    return cpus if quota is None else cpus[: max(1, math.ceil(quota))]


def cpu_quota() -> float | None:
    """Cores' worth of time that this process's cgroup may use (`docker --cpus`); None: no limit, or not told.

    cgroup v2 says "max 100000" or "200000 100000" (quota and period in microseconds); v1 has a file for each."""
    try:
        quota, period = CGROUP_V2.read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((CGROUP_V1 / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


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
