"""torch as it is: one operator after the other, called from Python; optionally under autocast, or with TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.feasibility import needs_cuda, torch_infeasible
from bench.optimizations.precision import dtype_infeasible
from bench.runtimes.cuda_slot import on_slot
from bench.runtimes.torch.model import InputForm, TorchLoaded, use_threads

TF32_CAPABILITY = (8, 0)


@plugin
class TorchEager(Runtime):
    """`autocast`: the dtype that torch casts heavy operators to as it goes; weights stay as they are, and their casts
    are made once, because one autocast context surrounds all calls.

    `tf32`: products and convolutions of fp32 take the tensor cores of a GPU, which round the factors to 10 bits of
    mantissa and keep the range and the sums of fp32."""

    requires = ("torch", "safetensors")

    autocast: Literal["bfloat16", "float16"] | None = None
    tf32: bool = False

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return (
            (needs_cuda(device, TF32_CAPABILITY, "TF32") if self.tf32 else None)
            or dtype_infeasible(self.autocast, device)
            or torch_infeasible(device)
        )

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        with on_slot(slot, "tf32" if self.tf32 else "ieee") as place, ExitStack() as surroundings:
            model = recipe.model(place.put)
            if self.autocast is None:
                surroundings.enter_context(torch.inference_mode())
            else:
                # Not inference mode: autocast does not keep its casts there, and would cast all weights in
                # each call.
                surroundings.enter_context(torch.no_grad())
                dtype = getattr(torch, self.autocast)
                surroundings.enter_context(torch.autocast(place.kind, dtype=dtype, cache_enabled=True))
            yield TorchLoaded(model, InputForm.of(model), by_name=True, detail={}, place=place)
