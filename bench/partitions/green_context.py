"""A tenant on a share of the GPU's multiprocessors, without privileges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import pydantic

from bench.contract import Device, Gpu, Slot, importable, plugin
from bench.devices.mig.change import Wanted
from bench.devices.mig.instances import MigDevice
from bench.partitions.sharing import GpuPartition, gpu_slot


@plugin
class GreenContext(GpuPartition):
    """One tenant in a CUDA green context that holds `share` of the multiprocessors, rounded down to what the device can
    divide (8 at a time on compute capability 9.0); the tenant reads that from the device and records what it got.
    Memory and caches are not divided. Needs CUDA 12.4 in the driver and torch 2.10."""

    not_on_a_cpu: ClassVar[str] = (
        "green contexts divide an NVIDIA GPU, and this device is a CPU: cpuset gives tenants their own cores"
    )

    share: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.5
    allow_reconfigure: bool | None = None

    def unsuited(self, gpu: Gpu) -> str | None:
        if gpu.compute_capability and gpu.compute_capability < (7, 0):
            return f"green contexts need compute capability 7.0; {gpu.product} has {gpu.compute_capability}"
        if not gpu.address.driver and not (importable("cuda") and importable("cuda.bindings")):
            return "green contexts need cuda-bindings, which is not installed: pip install -e '.[cuda]'"
        return None

    def wanted(self, gpu: Gpu) -> Wanted:
        return Wanted(on=False)

    def tenant_slots(self, device: Device, slices: Sequence[MigDevice]) -> tuple[Slot, ...]:
        return (gpu_slot(device, 0, tenants=1, sm_share=self.share),)

    def words(self, device: Device) -> str:
        return f"one tenant on {self.share:.0%} of the multiprocessors (green context)"
