"""Tenants that share one device in turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, ClassVar

import pydantic

from bench.contract import Device, Gpu, Slot, plugin
from bench.devices.mig.change import Wanted
from bench.devices.mig.instances import MigDevice
from bench.partitions.shared_slice import shared_slice, unsuited_slice
from bench.partitions.sharing import GpuPartition, Tenants, gpu_slot


@plugin
class TimeShared(GpuPartition):
    """`tenants` processes share all cores, unpinned, or one GPU: the system, or the GPU's own scheduler, divides the
    time.

    On a CPU each runs its fair share of threads (cores / tenants, at least one) unless `threads` says otherwise. One
    thread per core in each, what torch does when nobody tells it, lets the tenants' OpenMP threads spin at barriers
    against each other: two such tenants on two cores were seen to take hundreds of times longer than one.

    Each starts `stagger_s` after the one before; 0: all together.

    `within` shares one MIG instance of that profile ("1g", "3g") instead of the whole GPU."""

    shares_cores: ClassVar[bool] = True

    tenants: Tenants = 2
    stagger_s: Annotated[float, pydantic.Field(ge=0, le=600)] = 0.0
    threads: Annotated[int, pydantic.Field(ge=1, strict=True)] | None = None
    within: str | None = None
    allow_reconfigure: bool | None = None

    def unsuited(self, gpu: Gpu) -> str | None:
        return unsuited_slice(gpu, self.within)

    def wanted(self, gpu: Gpu) -> Wanted:
        return shared_slice(gpu, self.within)

    def tenant_slots(self, device: Device, slices: Sequence[MigDevice]) -> tuple[Slot, ...]:
        if device.gpu is None:
            threads = self.threads or max(1, len(device.cpus) // self.tenants)
            slots = [Slot(index=index, threads=threads) for index in range(self.tenants)]
        else:
            mig = slices[0] if slices else None
            slots = [gpu_slot(device, index, self.tenants, mig) for index in range(self.tenants)]
        return tuple(dataclasses.replace(slot, start_after_s=slot.index * self.stagger_s) for slot in slots)

    def words(self, device: Device) -> str:
        return f"{self.tenants} tenants share {self.within or 'the whole GPU'} in turns"
