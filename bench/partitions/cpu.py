"""Partitions of a CPU."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic

from bench.contract import Device, Partition, Slot, plugin

Tenants = Annotated[int, pydantic.Field(ge=1, le=256, strict=True)]


@plugin
class Full(Partition):
    """One tenant gets the whole device, with one thread per core. It is not pinned: the kernel may move it."""

    def slots(self, device: Device) -> tuple[Slot, ...]:
        return (Slot(index=0, threads=len(device.cpus)),)


@plugin
class TimeShared(Partition):
    """`tenants` processes share all cores, unpinned. Each runs its fair share of threads (cores / tenants, at least
    one) unless `threads` says otherwise. One thread per core in each, what torch does when nobody tells it, lets the
    tenants' OpenMP threads spin at barriers against each other: two such tenants on two cores were seen to take
    hundreds of times longer than one."""

    shares_cores: ClassVar[bool] = True

    tenants: Tenants = 2
    threads: Annotated[int, pydantic.Field(ge=1, strict=True)] | None = None

    def slots(self, device: Device) -> tuple[Slot, ...]:
        threads = self.threads or max(1, len(device.cpus) // self.tenants)
        return tuple(Slot(index=index, threads=threads) for index in range(self.tenants))


@plugin
class Cpuset(Partition):
    """`tenants` processes, each pinned to its own equal share of the cores, in the order of their numbers. Cores that
    do not divide evenly stay idle, as the spare slices of a GPU do."""

    tenants: Tenants = 2

    def infeasible(self, device: Device) -> str | None:
        if self.tenants > len(device.cpus):
            return f"{self.tenants} tenants need {self.tenants} cores of their own; there are {len(device.cpus)}"
        return None

    def slots(self, device: Device) -> tuple[Slot, ...]:
        share = len(device.cpus) // self.tenants
        return tuple(
            Slot(index=index, threads=share, cpus=device.cpus[index * share : (index + 1) * share])
            for index in range(self.tenants)
        )
