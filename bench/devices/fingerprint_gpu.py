"""What a measurement on a GPU depends on: identity, versions, settings, MIG layout, state, and who else is there.

None is what the driver does not offer; `refused` names the calls that it answered with another error, and that error.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from typing import Any

import psutil

from bench.contract import Gpu, GpuAddress
from bench.devices import gpu_words as words
from bench.devices import nvml
from bench.devices.energy_counter import energy_update_s
from bench.devices.gpu import describe, memory_bytes, text
from bench.devices.mig.instances import mig_devices

ENVIRONMENT = ("CUDA_", "CUBLAS", "CUDNN_", "PYTORCH_", "TORCH_", "NVIDIA_TF32_OVERRIDE", "NVIDIA_VISIBLE_DEVICES")
"""What names of variables begin with that change what a GPU does. (Not NVIDIA_ at large: there are keys among them.)"""
MW_PER_W = 1000


def fingerprint_gpu(address: GpuAddress, detect_energy: bool = False) -> dict[str, Any]:
    """One GPU, JSON-serialisable. `detect_energy`: also find the update period of its energy counter, which keeps
    a core busy for half a second. Raises NvmlError where not even its identity is told."""
    with nvml.session(address.driver) as session:
        handle = session.device(address.uuid)
        gpu = describe(session, address)
        reader = _Reader(session, handle)
        return {
            **_identity(reader, gpu),
            "memory_bytes": memory_bytes(session, gpu.address) or None,
            "mig": _mig(session, handle, gpu),
            **_settings(reader),
            **_state(reader),
            "energy_update_s": energy_update_s(session, handle) if detect_energy else None,
            "environment": environment(),
            "refused": reader.refused,
        }


def environment() -> dict[str, str]:
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(ENVIRONMENT)}


class _Reader:
    """Asks, and keeps what was refused. A lost GPU is raised: nothing that it says would be true."""

    def __init__(self, session: nvml.Session, handle: Any) -> None:
        self.session = session
        self.handle = handle
        self.refused: dict[str, str] = {}

    def ask(self, call: str, *arguments: Any) -> Any | None:
        try:
            return self.session.ask(call, *arguments)
        except (nvml.GpuLost, nvml.NoDriver):
            raise
        except nvml.NvmlError as error:
            self.refused[call] = error.code
            return None

    def constant(self, name: str) -> int:
        return int(getattr(self.session.pynvml, name))

    def fields(self, names: dict[str, str]) -> dict[str, int | float | None]:
        """Field values by our names for them."""
        ids = [self.constant(name) for name in names.values()]
        entries = self.ask("nvmlDeviceGetFieldValues", self.handle, ids)
        if entries is None:
            return dict.fromkeys(names)
        return {name: words.field_value(entry) for name, entry in zip(names, entries, strict=True)}


def _identity(reader: _Reader, gpu: Gpu) -> dict[str, Any]:
    handle = reader.handle
    serial = _text(reader.ask("nvmlDeviceGetSerial", handle))
    return {
        "uuid": gpu.address.uuid,
        "name": gpu.product,
        "rehearsal": gpu.address.driver is not None,
        "pci_bus_id": gpu.pci_bus_id,
        "pci_device_id": f"0x{gpu.pci_device_id:08X}",
        "part_number": _text(reader.ask("nvmlDeviceGetBoardPartNumber", handle)),
        "serial_sha256": hashlib.sha256(serial.encode()).hexdigest() if serial else None,
        "architecture": gpu.architecture,
        "compute_capability": list(gpu.compute_capability) if gpu.compute_capability else None,
        "sm_count": gpu.sm_count,
        "virtualization": gpu.virtualization,
        "vbios": _text(reader.ask("nvmlDeviceGetVbiosVersion", handle)),
        "inforom": _text(reader.ask("nvmlDeviceGetInforomImageVersion", handle)),
        "driver": gpu.driver_version,
        "nvml": _text(reader.ask("nvmlSystemGetNVMLVersion")),
        "cuda_driver": _cuda_version(reader.ask("nvmlSystemGetCudaDriverVersion")),
        "gsp_firmware": _text(reader.ask("nvmlDeviceGetGspFirmwareVersion", handle)),
    }


def _mig(session: nvml.Session, handle: Any, gpu: Gpu) -> dict[str, Any]:
    """`instances` is None for a user who may not see them; MIG devices are seen by whoever may use them."""
    names = {profile.id: profile.name for profile in gpu.profiles}
    instances = gpu.mig.instances
    return {
        "on": gpu.mig.on,
        "after_reset": gpu.mig.pending,
        "instances": None
        if instances is None
        else [{"profile": names[instance.profile_id], **asdict(instance)} for instance in instances],
        "devices": [asdict(device) for device in mig_devices(session, handle)] if gpu.mig.on else [],
    }


def _settings(reader: _Reader) -> dict[str, Any]:
    handle = reader.handle
    mode = reader.ask("nvmlDeviceGetComputeMode", handle)
    ecc = reader.ask("nvmlDeviceGetEccMode", handle)
    lowest, highest = reader.ask("nvmlDeviceGetPowerManagementLimitConstraints", handle) or (None, None)
    return {
        "compute_mode": words.COMPUTE_MODES[mode] if mode is not None and mode < len(words.COMPUTE_MODES) else None,
        "persistence": _flag(reader.ask("nvmlDeviceGetPersistenceMode", handle)),
        "ecc": {"on": bool(ecc[0]), "after_reset": bool(ecc[1])} if ecc else None,
        "power_limit_w": {
            "now": _watts(reader.ask("nvmlDeviceGetPowerManagementLimit", handle)),
            "default": _watts(reader.ask("nvmlDeviceGetPowerManagementDefaultLimit", handle)),
            "enforced": _watts(reader.ask("nvmlDeviceGetEnforcedPowerLimit", handle)),
            "lowest": _watts(lowest),
            "highest": _watts(highest),
        },
        "clocks_mhz": {name: _clock(reader, reader.constant(kind)) for name, kind in words.CLOCKS.items()},
        "pcie": {
            "generation": reader.ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
            "generation_max": reader.ask("nvmlDeviceGetMaxPcieLinkGeneration", handle),
            "width": reader.ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
            "width_max": reader.ask("nvmlDeviceGetMaxPcieLinkWidth", handle),
        },
        "numa_nodes": _bits(reader.ask("nvmlDeviceGetMemoryAffinity", handle, 1, _node_scope(reader))),
        "cpu_affinity": _bits(reader.ask("nvmlDeviceGetCpuAffinity", handle, -(-(os.cpu_count() or 1) // 64))),
    }


def _clock(reader: _Reader, kind: int) -> dict[str, int | None]:
    """NVML does not tell whether clocks are locked (`nvidia-smi -lgc`): it can only set that. Application clocks, the
    older way, are told by drivers before R590."""
    target = reader.constant("NVML_CLOCK_ID_APP_CLOCK_TARGET")
    default = reader.constant("NVML_CLOCK_ID_APP_CLOCK_DEFAULT")
    return {
        "now": reader.ask("nvmlDeviceGetClockInfo", reader.handle, kind),
        "max": reader.ask("nvmlDeviceGetMaxClockInfo", reader.handle, kind),
        "application": reader.ask("nvmlDeviceGetClock", reader.handle, kind, target),
        "application_default": reader.ask("nvmlDeviceGetClock", reader.handle, kind, default),
    }


def _state(reader: _Reader) -> dict[str, Any]:
    handle = reader.handle
    reasons = reader.ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
    rows = reader.ask("nvmlDeviceGetRemappedRows", handle)
    sensor = reader.constant("NVML_TEMPERATURE_GPU")
    memory = reader.fields({"memory": "NVML_FI_DEV_MEMORY_TEMP"})
    return {
        "performance_state": reader.ask("nvmlDeviceGetPerformanceState", handle),
        "event_reasons": None if reasons is None else words.event_reasons(reasons),
        "throttled_ns": reader.fields(words.THROTTLE_COUNTERS),
        "temperature_c": {"gpu": reader.ask("nvmlDeviceGetTemperature", handle, sensor), **memory},
        "remapped_rows": dict(
            zip(("corrected", "uncorrected", "pending", "failed"), (rows[0], rows[1], bool(rows[2]), bool(rows[3])),
                strict=True)
        ) if rows else None,
        "processes": _processes(reader),
    }  # fmt: skip


def _processes(reader: _Reader) -> list[dict[str, Any]] | None:
    """Everybody who has a context on it, this process aside. In a container others may have no name, or not be told."""
    told = {kind: reader.ask(call, reader.handle) for kind, call in words.PROCESS_LISTS.items()}
    if all(entries is None for entries in told.values()):
        return None
    return [
        {
            "pid": entry.pid,
            "name": _process_name(entry.pid),
            "kind": kind,
            "memory_bytes": entry.usedGpuMemory,
            "gpu_instance": None if entry.gpuInstanceId == words.NO_INSTANCE else entry.gpuInstanceId,
        }
        for kind, entries in told.items()
        for entry in entries or ()
        if entry.pid != os.getpid()
    ]


def _process_name(pid: int) -> str | None:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return None


def _node_scope(reader: _Reader) -> int:
    return reader.constant("NVML_AFFINITY_SCOPE_NODE")


def _cuda_version(number: int | None) -> str | None:
    """13010 is 13.1."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _text(value: Any) -> str | None:
    return None if value is None else text(value)


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / MW_PER_W


def _bits(array: Any) -> list[int] | None:
    return None if array is None else words.bits(array)
