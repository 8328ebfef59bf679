"""The one door to NVML (nvidia-ml-py). Nothing is loaded before a session opens.

    with nvml.session(driver) as session:
        handle = session.device("GPU-...")
        watts = session.ask("nvmlDeviceGetPowerUsage", handle)      # None: this GPU or driver does not offer it
        session.do("nvmlGpuInstanceDestroy", instance)              # raises NvmlError

`driver` is None for the driver of this machine, or the state file of a rehearsed GPU: then the same nvidia-ml-py talks
to a model of the library (bench/devices/rehearsal). GPUs are found by UUID or PCI bus id, never by index alone: NVML's
order is not CUDA's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from bench.errors import BenchError, ConfigError

MIG_PREFIX = "MIG-"


class NvmlError(BenchError):
    """NVML refused. `code` is its name without the prefix: IN_USE, NO_PERMISSION ..."""

    exit_code = 3
    code = "UNKNOWN"

    def __init__(self, code: str, call: str, hint: str = "`bench doctor` tells what this driver offers") -> None:
        super().__init__(f"NVML says {code.replace('_', ' ').lower()}", where=call, hint=hint)
        self.code = code


class NoDriver(NvmlError):
    """There is no NVIDIA driver on this machine, or it does not answer."""


class GpuLost(NvmlError):
    """The GPU has fallen off the bus, or needs a reset: nothing on it can be measured any more."""


ABSENT = frozenset({"FUNCTION_NOT_FOUND", "NOT_SUPPORTED", "NOT_FOUND", "NO_DATA", "DEPRECATED"})
"""What the driver or the GPU does not offer: no mistake, just not there."""
LOST = frozenset({"GPU_IS_LOST", "RESET_REQUIRED"})
GONE = frozenset({"LIBRARY_NOT_FOUND", "DRIVER_NOT_LOADED"})


class Session:
    """An open NVML. Handles die with it, and with the layout that they were taken from."""

    names: ClassVar[dict[int, str]] = {}

    def __init__(self, pynvml: Any) -> None:
        self.pynvml = pynvml
        """For constants and structures; calls go through `ask` and `do`."""

    def do(self, call: str, *arguments: Any) -> Any:
        """What the wrapper of that name in nvidia-ml-py returns. Raises NvmlError."""
        try:
            return getattr(self.pynvml, call)(*arguments)
        except self.pynvml.NVMLError as error:
            raise _translated(self.pynvml, error, call) from error

    def ask(self, call: str, *arguments: Any) -> Any | None:
        """The same, and None for what is not offered here, or not to this user."""
        try:
            return self.do(call, *arguments)
        except NvmlError as error:
            if error.code in ABSENT or error.code == "NO_PERMISSION":
                return None
            raise

    def device(self, address: str) -> Any:
        """Handle of a GPU (UUID or PCI bus id) or of a MIG device (UUID)."""
        by_uuid = address.startswith(("GPU-", MIG_PREFIX))
        try:
            if by_uuid:
                return self.do("nvmlDeviceGetHandleByUUID", address)
            return self.do("nvmlDeviceGetHandleByPciBusId", address)
        except NvmlError as error:
            if error.code not in ("NOT_FOUND", "INVALID_ARGUMENT"):
                raise
            there = ", ".join(uuid for uuid, _ in self.gpus()) or "none"
            raise ConfigError(f"there is no GPU {address}", where="gpu.device", hint=f"there are: {there}") from error

    def gpus(self) -> list[tuple[str, str]]:
        """(UUID, PCI bus id) of every GPU that answers this process, in the order of PCI bus ids. NVML also counts
        those that a cgroup keeps from it, and those that are lost."""
        found = []
        for index in range(self.do("nvmlDeviceGetCount")):
            try:
                handle = self.do("nvmlDeviceGetHandleByIndex", index)
            except NvmlError as error:
                if error.code == "NO_PERMISSION" or isinstance(error, GpuLost):
                    continue
                raise
            found.append((self.do("nvmlDeviceGetUUID", handle), self.do("nvmlDeviceGetPciInfo", handle).busId))
        return sorted(found, key=lambda gpu: gpu[1])


@contextmanager
def session(driver: str | None = None) -> Iterator[Session]:
    """NVML of this machine, or of the rehearsed GPU whose state is in the file `driver`. Raises NoDriver."""
    import pynvml

    with _library(pynvml, driver):
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise _translated(pynvml, error, "nvmlInit") from error
        try:
            yield Session(pynvml)
        finally:
            with suppress(pynvml.NVMLError):  # what was to be done is done, and the process may well go on without
                pynvml.nvmlShutdown()


@contextmanager
def _library(pynvml: Any, driver: str | None) -> Iterator[None]:
    """nvidia-ml-py keeps one library and its function pointers in globals: lend it the rehearsed one."""
    if driver is None:
        yield
        return
    from bench.devices.rehearsal.library import open_library

    before = pynvml.nvmlLib
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = open_library(Path(driver))
    try:
        yield
    finally:
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml.nvmlLib = before


def _translated(pynvml: Any, error: Any, call: str) -> NvmlError:
    code = _name(pynvml, error.value)
    if code in GONE:
        return NoDriver(code, call, hint="there is no NVIDIA driver: measure on the CPU (gpu=cpu), or rehearse one")
    if code in LOST:
        return GpuLost(code, call, hint="the GPU is gone until it is reset or the machine rebooted; see `dmesg`")
    if code == "NO_PERMISSION" and ("Mig" in call or "Instance" in call):
        return NvmlError(code, call, hint="changing MIG layouts needs root (or the mig/config capability)")
    if code == "NO_PERMISSION":
        return NvmlError(code, call, hint="this user or container may not do that: ask whoever runs the machine")
    return NvmlError(code, call)


def _name(pynvml: Any, value: int) -> str:
    if not Session.names:
        prefix = "NVML_ERROR_"
        Session.names.update(
            {getattr(pynvml, name): name.removeprefix(prefix) for name in dir(pynvml) if name.startswith(prefix)}
        )
    return Session.names.get(value, f"error {value}")
