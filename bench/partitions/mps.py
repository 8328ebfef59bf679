"""Tenants that share a GPU through NVIDIA's Multi-Process Service."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar

import pydantic

from bench.contract import Device, Gpu, Slot, plugin
from bench.devices.mig.change import Wanted
from bench.devices.mig.instances import MigDevice
from bench.partitions.mps_daemon import running
from bench.partitions.shared_slice import shared_slice, unsuited_slice
from bench.partitions.sharing import GpuPartition, Tenants, gpu_slot

CONTROL = "nvidia-cuda-mps-control"
MOST_CLIENTS = 48
"""Of one server, Volta and newer (newer texts say 60)."""


@plugin
class Mps(GpuPartition):
    """`tenants` processes share the GPU, or the one MIG slice that `within` names, at the same time. The daemon is
    private: its own folders, no root, stopped with the trial.

    thread_percentage: CUDA_MPS_ACTIVE_THREAD_PERCENTAGE of each tenant, an upper limit that reserves nothing; None:
        no limit.
    memory_limit_mib: of each tenant's device memory (CUDA_MPS_PINNED_DEVICE_MEM_LIMIT); None: no limit."""

    not_on_a_cpu: ClassVar[str] = (
        "the Multi-Process Service needs an NVIDIA GPU, and this device is a CPU: time_shared shares cores"
    )

    needs_host: ClassVar[str] = (
        "clients of the Multi-Process Service share a daemon on the host, which containers do not reach"
    )

    tenants: Annotated[Tenants, pydantic.Field(le=MOST_CLIENTS)] = 2
    thread_percentage: Annotated[int, pydantic.Field(ge=1, le=100, strict=True)] | None = None
    memory_limit_mib: Annotated[int, pydantic.Field(ge=1, strict=True)] | None = None
    within: str | None = None
    allow_reconfigure: bool | None = None

    def unsuited(self, gpu: Gpu) -> str | None:
        if gpu.compute_capability and gpu.compute_capability < (7, 0):
            return f"{gpu.product} is older than Volta: its MPS clients share one address space"
        if not gpu.address.driver and shutil.which(CONTROL) is None:
            return f"{CONTROL} is not installed: it comes with NVIDIA's driver (utilities); time_shared needs nothing"
        return unsuited_slice(gpu, self.within)

    def wanted(self, gpu: Gpu) -> Wanted:
        return shared_slice(gpu, self.within)

    def tenant_slots(self, device: Device, slices: Sequence[MigDevice]) -> tuple[Slot, ...]:
        return tuple(self._slot(device, index, slices, {}) for index in range(self.tenants))

    @contextmanager
    def shared(self, device: Device, slices: Sequence[MigDevice]) -> Iterator[tuple[Slot, ...]]:
        assert device.gpu is not None
        visible = slices[0].uuid if slices else device.gpu.address.uuid
        with running(_command(device.gpu), {"CUDA_VISIBLE_DEVICES": visible}) as folders:
            yield tuple(self._slot(device, index, slices, folders) for index in range(self.tenants))

    def words(self, device: Device) -> str:
        limit = f", each at most {self.thread_percentage} % of the threads" if self.thread_percentage else ""
        return f"{self.tenants} tenants share {self.within or 'the whole GPU'} through MPS{limit}"

    def _slot(self, device: Device, index: int, slices: Sequence[MigDevice], folders: Mapping[str, str]) -> Slot:
        env = dict(folders)
        if self.thread_percentage:
            env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = str(self.thread_percentage)
        if self.memory_limit_mib:
            env["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={self.memory_limit_mib}M"
        return gpu_slot(device, index, self.tenants, slices[0] if slices else None, env)


def _command(gpu: Gpu) -> list[str]:
    if gpu.address.driver:
        return [sys.executable, "-P", "-m", "bench.devices.rehearsal.mps_control"]
    return [CONTROL]
