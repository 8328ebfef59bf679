"""Number formats and memory formats: cheap passes that are applied wherever the model is loaded."""

from __future__ import annotations

from typing import Any, Literal

from bench.contract import Device, Pass, Workload, plugin
from bench.feasibility import older_than, torch_infeasible

BF16_CAPABILITY = (8, 0)


@plugin
class Cast(Pass):
    """All weights in one floating-point format; inputs follow, because runtimes read the format off the
    weights."""

    dtype: Literal["bfloat16", "float16"]

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return dtype_infeasible(self.dtype, device)

    def apply(self, model: Any, workload: Workload) -> Any:
        import torch

        return model.to(getattr(torch, self.dtype))


@plugin
class ChannelsLast(Pass):
    """Images and convolution weights with their channels innermost; inputs follow the weights."""

    def apply(self, model: Any, workload: Workload) -> Any:
        import torch

        return model.to(memory_format=torch.channels_last)


def dtype_infeasible(dtype: str | None, device: Device) -> str | None:
    """(conductor) Why a device does not compute in `dtype`. Torch emulates bf16 on GPUs that lack it; CPUs and GPUs
    without tensor cores compute in fp16 slowly, but truly."""
    if dtype != "bfloat16":
        return None
    return older_than(device, BF16_CAPABILITY, "bf16 on tensor cores") or torch_infeasible(device)
