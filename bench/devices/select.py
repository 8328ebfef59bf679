"""The device of an experiment, from the group `gpu`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pydantic

from bench.contract import Device, GpuAddress
from bench.devices import host, nvml
from bench.devices.gpu import describe, memory_bytes
from bench.errors import ConfigError, InfeasibleHere

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Choice(pydantic.BaseModel):
    """`device`: UUID or PCI bus id of a GPU, where there are several; None: the one that
    CUDA_VISIBLE_DEVICES names, else the first by PCI bus id."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto", "cpu", "cuda"]
    device: str | None = None


class Rehearsed(pydantic.BaseModel):
    """A GPU that is not there. `state`: the file that is its driver's memory; None: one per model, in bench's own
    folder. `faults`: what goes wrong with it (bench/devices/rehearsal/faults.py)."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rehearsal"]
    model: str
    state: str | None = None
    faults: dict[str, Any] | None = None


Node = Annotated[Choice | Rehearsed, pydantic.Field(discriminator="kind")]


def find_device(node: Any) -> Device:
    """The device that the configuration names. `auto` is the first NVIDIA GPU, and the CPU where there is none.

    Raises ConfigError, and InfeasibleHere where the GPU that was asked for is not there."""
    choice = _checked(node)
    if isinstance(choice, Rehearsed):
        from bench.devices.rehearsal.board import board

        return _gpu_device(board(choice.model, choice.state, choice.faults))
    if choice.kind == "cpu":
        return host.cpu_device()
    try:
        return _gpu_device(GpuAddress(_chosen(choice.device)))
    except nvml.NoDriver as error:
        if choice.kind == "auto":
            return host.cpu_device()
        raise InfeasibleHere(
            "there is no NVIDIA driver on this machine",
            where="gpu=cuda",
            hint="gpu=cpu measures on the CPU, gpu=rehearsal/a100-40gb rehearses a GPU",
        ) from error
    except _NoGpu:
        if choice.kind == "auto":
            return host.cpu_device()
        raise


class _NoGpu(InfeasibleHere):
    """A driver, and no GPU in its sight."""


def _chosen(device: str | None) -> str:
    with nvml.session() as session:
        if device is not None:
            return str(session.do("nvmlDeviceGetUUID", session.device(device)))
        gpus = [uuid for uuid, _ in session.gpus()]
        if not gpus:
            raise _NoGpu("the NVIDIA driver sees no GPU", where="gpu=cuda", hint="see `nvidia-smi -L`, or gpu=cpu")
        return _allotted(gpus, os.environ.get(VISIBLE))


def _allotted(gpus: Sequence[str], visible: str | None) -> str:
    """The first GPU, or that which CUDA_VISIBLE_DEVICES names: on a shared machine the others are other people's. An
    index there counts as CUDA counts, which is not how NVML does, so only of a single GPU it is understood."""
    if visible is None:
        return gpus[0]
    first = visible.split(",")[0].strip()
    if first in ("", "-1"):
        raise _NoGpu(f"{VISIBLE} hides all GPUs", where=VISIBLE, hint="unset it, name one in gpu.device=, or gpu=cpu")
    matching = [uuid for uuid in gpus if first.startswith("GPU-") and uuid.startswith(first)]
    if len(matching) == 1:
        return matching[0]
    if len(gpus) == 1 and first == "0":
        return gpus[0]
    raise ConfigError(
        f"{VISIBLE}={visible} does not say by its UUID which GPU is meant",
        where=VISIBLE,
        hint=f"say gpu.device= one of {', '.join(gpus)}, or gpu=cpu",
    )


def _gpu_device(address: GpuAddress) -> Device:
    with nvml.session(address.driver) as session:
        gpu = describe(session, address)
        memory = memory_bytes(session, gpu.address)
    rehearsal = address.driver is not None
    cpu = host.cpu_device()
    return Device(
        kind="cuda",
        name=f"{gpu.product} (rehearsal)" if rehearsal else gpu.product,
        cpus=cpu.cpus,
        memory_bytes=memory,
        rehearsal=rehearsal,
        gpu=gpu,
        host=cpu.name,
    )


def _checked(node: Any) -> Choice | Rehearsed:
    adapter: pydantic.TypeAdapter[Choice | Rehearsed] = pydantic.TypeAdapter(Node)
    try:
        return adapter.validate_python(node)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        if first["type"].startswith("union_tag"):
            first = {
                **first,
                "msg": f"there is no kind {first['ctx'].get('tag')!r}" if "ctx" in first else "it has no kind",
            }
        where = ".".join(["gpu", *(str(part) for part in first["loc"] if part not in ("auto", "cpu", "cuda"))])
        raise ConfigError(
            f"{where}: {first['msg'].lower()}",
            where=where,
            hint="say gpu=auto, gpu=cpu, gpu=cuda (and gpu.device=GPU-...) or gpu=rehearsal/MODEL",
        ) from error
