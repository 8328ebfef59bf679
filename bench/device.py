"""What is shared: a device, its GPU, and what one tenant has of it. Plug-ins import these from bench.contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.devices.geometry import Profile
    from bench.devices.mig.layout import MigState


@dataclass(frozen=True)
class GpuAddress:
    """Where to find a GPU: its UUID, at the driver of this machine (None) or in the state file of a rehearsed one."""

    uuid: str
    driver: str | None = None


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU as its driver told of it when the experiment was planned. None and (): not told.

    virtualization: "none", "passthrough" (a whole GPU in a virtual machine), "vgpu" (a guest's share of one), or a
        host's "host_vgpu" and "host_vsga".
    compute_slices, profiles: of MIG; 0 and () where there is no MIG.
    mig: mode and instances.
    """

    address: GpuAddress
    pci_bus_id: str
    pci_device_id: int
    product: str
    architecture: str
    compute_capability: tuple[int, int] | None
    sm_count: int | None
    virtualization: str
    driver_version: str
    compute_slices: int
    profiles: tuple[Profile, ...]
    mig: MigState


@dataclass(frozen=True)
class Device:
    """One device that tenants share. `cpus` are the logical CPUs this process may use, in order.

    Tenants of a rehearsed GPU execute on the host's CPU, named `host`."""

    kind: Literal["cpu", "cuda"]
    name: str
    cpus: tuple[int, ...]
    memory_bytes: int
    rehearsal: bool = False
    gpu: Gpu | None = None
    host: str = ""

    @property
    def executes_on(self) -> Literal["cpu", "cuda"]:
        """Where tenants really compute."""
        return "cpu" if self.rehearsal else self.kind

    @property
    def built_for(self) -> str:
        """Name of the device that artifacts are built for."""
        return self.host if self.rehearsal else self.name


@dataclass(frozen=True)
class Slot:
    """What one tenant gets of the device. `cpus` empty means: not pinned. `executes_on` as in Device.

    gpu: UUID of the GPU or MIG device; gpu_instance: the id of its GPU instance, under MIG.
    sm_count: multiprocessors of that device; None: not known.
    sm_share: share of those multiprocessors, in a green context; None: no green context.
    start_after_s: its tenant starts that long after the first one.
    """

    index: int
    threads: int
    cpus: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    executes_on: Literal["cpu", "cuda"] = "cpu"
    gpu: str | None = None
    gpu_instance: int | None = None
    sm_count: int | None = None
    sm_share: float | None = None
    start_after_s: float = 0.0


@dataclass(frozen=True)
class Watched:
    """A tenant as telemetry sees it: its process, as this machine counts, and what it has of the device."""

    pid: int
    gpu: str | None = None
    gpu_instance: int | None = None
