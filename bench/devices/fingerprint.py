"""What a measurement depends on and a stranger would ask: machine, system, versions, commit, and what may spoil it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import bench
from bench.devices import host

DISTRIBUTIONS = (
    "bench", "numpy", "scipy", "torch", "torchao", "torch-pruning", "transformers", "onnx", "onnxscript",
    "onnxruntime", "hydra-core", "omegaconf", "pydantic", "pyarrow", "psutil",
)  # fmt: skip
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "avx_vnni")
LOAD_LIMIT = 0.2


def fingerprint() -> dict[str, Any]:
    """JSON-serialisable; what the system does not tell is None."""
    memory = psutil.virtual_memory()
    return {
        "bench": bench.__version__,
        "commit": _commit(),
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "cpu": {
            "name": host.cpu_name(),
            "usable": list(host.usable_cpus()),
            "online": os.cpu_count(),
            "threads_per_core": _threads_per_core(),
            "flags": _flags(),
            "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "boost": _read("/sys/devices/system/cpu/cpufreq/boost"),
            "hypervisor": "hypervisor" in _all_flags(),
        },
        "memory_bytes": memory.total,
        "nvidia_gpu_present": host.nvidia_gpu_present(),
        "transparent_hugepages": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "swappiness": _read("/proc/sys/vm/swappiness"),
        "cgroup_cpu_quota": host.cpu_quota(),
        "load_average": list(os.getloadavg()),
        "versions": _versions(),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("OMP_", "MKL_", "KMP_", "GOMP_", "TORCH", "ORT_", "CUDA_", "LD_PRELOAD"))
        },
    }


def warnings(found: dict[str, Any]) -> list[tuple[str, str]]:
    """(what may spoil a measurement here, the command that mends it). Nothing is ever changed by us."""
    cpu = found["cpu"]
    told: list[tuple[str, str]] = []
    if cpu["governor"] not in (None, "performance"):
        told.append((f"the CPU governor is {cpu['governor']}", "cpupower frequency-set -g performance"))
    if cpu["boost"] == "1":
        told.append(
            (
                "CPU boost is on: clocks depend on temperature",
                "echo 0 > /sys/devices/system/cpu/cpufreq/boost",
            )
        )
    if cpu["hypervisor"]:
        told.append(
            (
                "this is a virtual machine: neighbours may take time from it",
                "compare only within one run; use more blocks",
            )
        )
    if found["cgroup_cpu_quota"] is not None:
        quota = found["cgroup_cpu_quota"]
        told.append(
            (f"a cgroup limits CPU time to {quota:g} cores: tenants may be throttled", "lift it, or pin cores instead")
        )
    load = found["load_average"][0] / max(1, len(cpu["usable"]))
    if load > LOAD_LIMIT:
        told.append(
            (
                f"the machine is busy: {load:.0%} load per core over the last minute",
                "end other work, see `top`",
            )
        )
    if cpu["threads_per_core"] and cpu["threads_per_core"] > 1:
        told.append(
            (
                "hyper-threading is on: two tenants may share a core",
                "echo off > /sys/devices/system/cpu/smt/control",
            )
        )
    if found["nvidia_gpu_present"]:
        told.append(
            (
                "an NVIDIA GPU is here, and this version of bench measures on the CPU only",
                "see the README, Limits",
            )
        )
    for name in ("LD_PRELOAD", "TORCH_LOGS", "OMP_NUM_THREADS"):
        if name in found["environment"]:
            told.append((f"{name} is set", f"unset {name}"))
    return told


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _commit() -> str | None:
    """Of the checkout that this package runs from, with "-dirty" when it was changed; None when it is installed."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _all_flags() -> set[str]:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("flags", "Features")):
            return set(line.split(":", 1)[1].split())
    return set()


def _flags() -> list[str]:
    return [flag for flag in CPU_FLAGS if flag in _all_flags()]


def _threads_per_core() -> int | None:
    siblings = _read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    if siblings is None:
        return None
    count = 0
    for part in siblings.split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count
