"""What a measurement depends on and a stranger would ask: machine, system, versions, commit, and what may spoil it."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import bench
from bench.contract import Device, GpuAddress
from bench.devices import host, nvml
from bench.devices.container_stack import container_stack
from bench.devices.fingerprint_gpu import fingerprint_gpu
from bench.devices.gpu import text
from bench.devices.gpu_warnings import gpu_warnings
from bench.git import commit_of

DISTRIBUTIONS = (
    "bench", "numpy", "scipy", "torch", "torchao", "torch-pruning", "transformers", "onnx", "onnxscript",
    "onnxruntime", "hydra-core", "omegaconf", "pydantic", "pyarrow", "psutil", "nvidia-ml-py",
)  # fmt: skip
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "avx_vnni")
OWN = Path(__file__).resolve().parents[2]
"""Where bench runs from: its checkout, or what it is installed into, which may lie in anybody's."""
LOAD_LIMIT = 0.2
NO_DRIVER = "no NVIDIA driver"


def fingerprint(device: Device | None = None, detect_energy: bool = False) -> dict[str, Any]:
    """JSON-serialisable; what the system does not tell is None. `gpu` is that of `device`, or without one all that are
    in sight. `detect_energy`: see fingerprint_gpu. Raises NvmlError for a GPU of `device` that does not answer."""
    memory = psutil.virtual_memory()
    return {
        "bench": bench.__version__,
        "commit": commit_of(OWN) if (OWN / ".git").exists() else None,
        "project_commit": commit_of(Path.cwd()),
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
        "gpu": _all_gpus(detect_energy) if device is None else _gpu_of(device, detect_energy),
        "transparent_hugepages": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "swappiness": _read("/proc/sys/vm/swappiness"),
        "cgroup_cpu_quota": host.cpu_quota(),
        "containers": container_stack(),
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
    gpu = found["gpu"]
    if found["nvidia_gpu_present"] and gpu and gpu["driver"] == NO_DRIVER:
        told.append(
            (
                "an NVIDIA GPU is here, and NVML is not: it cannot be used",
                "install the driver's libnvidia-ml.so.1, or give it to the container (docker run --gpus all)",
            )
        )
    for one in gpu["devices"] if gpu else ():
        told += gpu_warnings(one) if "error" not in one else [(f"{one['uuid']}: {one['error']}", "see `dmesg`")]
    for name in ("LD_PRELOAD", "TORCH_LOGS", "OMP_NUM_THREADS"):
        if name in found["environment"]:
            told.append((f"{name} is set", f"unset {name}"))
    return told


def _gpu_of(device: Device, detect_energy: bool) -> dict[str, Any] | None:
    if device.gpu is None:
        return None
    found = fingerprint_gpu(device.gpu.address, detect_energy)
    return {"driver": found["driver"], "devices": [found]}


def _all_gpus(detect_energy: bool) -> dict[str, Any]:
    """One that does not answer has an `error`, and the others are told of all the same."""
    try:
        with nvml.session() as session:
            driver = text(session.do("nvmlSystemGetDriverVersion"))
            uuids = [uuid for uuid, _ in session.gpus()]
    except nvml.NoDriver:
        return {"driver": NO_DRIVER, "devices": []}
    except nvml.NvmlError as error:
        return {"driver": error.what, "devices": []}
    return {"driver": driver, "devices": [_told(uuid, detect_energy) for uuid in uuids]}


def _told(uuid: str, detect_energy: bool) -> dict[str, Any]:
    try:
        return fingerprint_gpu(GpuAddress(uuid), detect_energy)
    except nvml.NvmlError as error:
        return {"uuid": uuid, "error": f"{error.what} ({error.where})"}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


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
