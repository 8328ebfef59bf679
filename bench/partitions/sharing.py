"""What partitions of a GPU have in common: the MIG layout that they need, and the slots that tenants get."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar

import pydantic

from bench.contract import Device, Gpu, Partition, Slot
from bench.devices.mig import journal
from bench.devices.mig.change import Wanted, applied
from bench.devices.mig.commands import commands
from bench.devices.mig.instances import MigDevice
from bench.records import Layout, PlannedInstance

Tenants = Annotated[int, pydantic.Field(ge=1, le=256, strict=True)]


class GpuPartition(Partition):
    """A partition that needs a GPU's MIG layout to be a certain one. Subclasses have `allow_reconfigure`: whether bench
    may change the layout for it. None: only that of a rehearsed GPU, which belongs to nobody."""

    allow_reconfigure: bool | None

    not_on_a_cpu: ClassVar[str | None] = None
    """Why a CPU cannot be divided so, and what comes nearest; None if it can."""

    @abstractmethod
    def wanted(self, gpu: Gpu) -> Wanted:
        """The layout that it needs, of a GPU that can have it."""

    @abstractmethod
    def tenant_slots(self, device: Device, slices: Sequence[MigDevice]) -> tuple[Slot, ...]:
        """One slot per tenant of a GPU that is laid out so; `slices` are its MIG devices, () with MIG off."""

    @abstractmethod
    def words(self, device: Device) -> str:
        """What a tenant gets, for people."""

    def slots(self, device: Device) -> tuple[Slot, ...]:
        return self.tenant_slots(device, ())

    def unsuited(self, gpu: Gpu) -> str | None:
        """Why this GPU can never be divided so; None if it can."""
        return None

    def infeasible(self, device: Device) -> str | None:
        gpu = device.gpu
        if gpu is None:
            return self.not_on_a_cpu
        if reason := self.unsuited(gpu):
            return reason
        if self.wanted(gpu).fits(gpu.mig) or self._may_change(device):
            return None
        left = journal.read(gpu.address.uuid)
        if left is not None and not left.kept:
            return "a run of bench that was killed left its MIG layout here: `bench mig restore`"
        now = f"MIG is on, with {len(gpu.mig.sizes)} MIG devices" if gpu.mig.on else "MIG is off"
        return f"{now}, and bench changes that only when told to: by its allow_reconfigure=true, or `bench mig apply`"

    def _may_change(self, device: Device) -> bool:
        return device.rehearsal if self.allow_reconfigure is None else self.allow_reconfigure

    def layout(self, device: Device) -> Layout | None:
        gpu = device.gpu
        if gpu is None:
            return None
        wanted = self.wanted(gpu)
        return Layout(
            words=self.words(device),
            mig=wanted.on if gpu.mig.on is not None else None,
            instances=tuple(
                PlannedInstance(
                    profile=placement.profile.name,
                    start=placement.start,
                    size=placement.profile.size,
                    sm_count=placement.profile.sm_count,
                    memory_bytes=placement.profile.memory_bytes,
                )
                for placement in wanted.placements
            ),
            commands=tuple(commands(gpu, wanted)),
        )

    @contextmanager
    def applied(self, device: Device) -> Iterator[tuple[Slot, ...]]:
        if device.gpu is None:
            yield self.slots(device)
            return
        with (
            applied(device.gpu, self.wanted(device.gpu), self._may_change(device)) as slices,
            self.shared(device, slices) as slots,
        ):
            yield slots

    @contextmanager
    def shared(self, device: Device, slices: Sequence[MigDevice]) -> Iterator[tuple[Slot, ...]]:
        """The slots, with whatever has to run while tenants use them."""
        yield self.tenant_slots(device, slices)


def gpu_slot(
    device: Device,
    index: int,
    tenants: int,
    mig: MigDevice | None = None,
    env: Mapping[str, str] | None = None,
    sm_share: float | None = None,
) -> Slot:
    """A slot on the whole GPU or on one of its MIG devices. CUDA sees that one and no other."""
    assert device.gpu is not None
    uuid = mig.uuid if mig else device.gpu.address.uuid
    visible = {"CUDA_VISIBLE_DEVICES": uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return Slot(
        index=index,
        threads=max(1, len(device.cpus) // tenants),
        env={**visible, **(env or {}), **_rehearsed(device.gpu, uuid)},
        executes_on=device.executes_on,
        gpu=uuid,
        gpu_instance=mig.gpu_instance if mig else None,
        sm_count=mig.sm_count if mig else device.gpu.sm_count,
        sm_share=sm_share,
    )


def _rehearsed(gpu: Gpu, uuid: str) -> dict[str, str]:
    """A tenant of a rehearsed GPU tells that driver that it is there, as creating a CUDA context would."""
    from bench.devices.rehearsal.client import DRIVER

    return {DRIVER: gpu.address.driver} if gpu.address.driver else {}
