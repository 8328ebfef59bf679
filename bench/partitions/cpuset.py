"""Each tenant on cores of its own."""

from __future__ import annotations

from bench.contract import Device, Partition, Slot, plugin
from bench.partitions.sharing import Tenants


@plugin
class Cpuset(Partition):
    """`tenants` processes, each pinned to its own equal share of the cores, in the order of their numbers. Cores that
    do not divide evenly stay idle, as the spare slices of a GPU do."""

    tenants: Tenants = 2

    def infeasible(self, device: Device) -> str | None:
        if device.gpu is not None:
            return "cpuset divides a CPU; MIG slices are a GPU's counterpart (mig_1of7, mig_1of3)"
        if self.tenants > len(device.cpus):
            return f"{self.tenants} tenants need {self.tenants} cores of their own; there are {len(device.cpus)}"
        return None

    def slots(self, device: Device) -> tuple[Slot, ...]:
        share = len(device.cpus) // self.tenants
        return tuple(
            Slot(index=index, threads=share, cpus=device.cpus[index * share : (index + 1) * share])
            for index in range(self.tenants)
        )
