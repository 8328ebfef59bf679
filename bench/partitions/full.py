"""One tenant gets the whole device."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract import Device, Gpu, Slot, plugin
from bench.devices.mig.change import Wanted
from bench.devices.mig.instances import MigDevice
from bench.partitions.sharing import GpuPartition, gpu_slot


@plugin
class Full(GpuPartition):
    """The whole CPU, with one thread per core and not pinned: the kernel may move it. The whole GPU with MIG off; a
    single 7g instance is another partition (some GPUs lose multiprocessors to MIG)."""

    allow_reconfigure: bool | None = None

    def wanted(self, gpu: Gpu) -> Wanted:
        return Wanted(on=False)

    def tenant_slots(self, device: Device, slices: Sequence[MigDevice]) -> tuple[Slot, ...]:
        if device.gpu is None:
            return (Slot(index=0, threads=len(device.cpus)),)
        return (gpu_slot(device, 0, tenants=1),)

    def words(self, device: Device) -> str:
        assert device.gpu is not None
        if device.gpu.virtualization == "vgpu":
            return f"the whole of the vGPU {device.gpu.product}, which is a share of its host's GPU"
        return "the whole GPU" if device.gpu.mig.on is None else "the whole GPU, MIG off"
