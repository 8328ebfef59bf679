"""Partitions that only an NVIDIA GPU offers. On a CPU they are infeasible, and say what comes nearest."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import pydantic

from bench.contract import Device, Partition, Slot, plugin

Tenants = Annotated[int, pydantic.Field(ge=1, strict=True)]


class NvidiaPartition(Partition):
    """Needs an NVIDIA GPU; this version of bench measures on CPUs, so it is never feasible yet."""

    @abstractmethod
    def _needs(self) -> str:
        """What it needs, as the first half of a sentence."""

    def infeasible(self, device: Device) -> str | None:
        return f"{self._needs()}; this device is a {device.kind.upper()}: cpuset pins tenants to cores of their own"

    def slots(self, device: Device) -> tuple[Slot, ...]:
        raise AssertionError("an infeasible partition has no slots")


@plugin
class Mig(NvidiaPartition):
    """`tenants` MIG slices of `compute_slices` each (the g of 1g, 2g ...), one tenant per slice."""

    compute_slices: Annotated[int, pydantic.Field(ge=1, le=7, strict=True)]
    tenants: Tenants

    def _needs(self) -> str:
        return f"{self.tenants} MIG slices of {self.compute_slices}g need an NVIDIA GPU with MIG"


@plugin
class Mps(NvidiaPartition):
    """`tenants` processes share the GPU through the Multi-Process Service."""

    tenants: Tenants = 2

    def _needs(self) -> str:
        return "the Multi-Process Service needs an NVIDIA GPU"


@plugin
class GreenContext(NvidiaPartition):
    """One tenant on a `share` of the GPU's multiprocessors."""

    share: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.5

    def _needs(self) -> str:
        return "green contexts need an NVIDIA GPU"
