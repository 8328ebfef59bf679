"""Partitions of a CPU."""

from __future__ import annotations

from typing import Annotated

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
    """`tenants` processes share all cores. Each sees the whole device, so each runs one thread per core unless
    `threads` says otherwise; more threads than cores is what time sharing means here."""

    tenants: Tenants = 2
    threads: Annotated[int, pydantic.Field(ge=1, strict=True)] | None = None

    def slots(self, device: Device) -> tuple[Slot, ...]:
        threads = self.threads or len(device.cpus)
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
