"""Number formats and memory formats: cheap passes that are applied wherever the model is loaded."""

from __future__ import annotations

from typing import Any, Literal

from bench.contract import Pass, Workload, plugin


@plugin
class Cast(Pass):
    """All weights in one floating-point format; inputs follow, because runtimes read the format off the
    weights."""

    dtype: Literal["bfloat16", "float16"]

    def apply(self, model: Any, workload: Workload) -> Any:
        import torch

        return model.to(getattr(torch, self.dtype))


@plugin
class ChannelsLast(Pass):
    """Images and convolution weights with their channels innermost; inputs follow the weights."""

    def apply(self, model: Any, workload: Workload) -> Any:
        import torch

        return model.to(memory_format=torch.channels_last)
