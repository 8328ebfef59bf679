"""torch as it is: one operator after the other, called from Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.runtimes.cuda_slot import on_slot, torch_infeasible
from bench.runtimes.torch_model import InputForm, TorchLoaded, use_threads


@plugin
class TorchEager(Runtime):
    """`autocast`: the dtype that torch casts heavy operators to as it goes; weights stay as they are, and
    their casts are made once, because one autocast context surrounds all calls."""

    requires = ("torch", "safetensors")

    autocast: Literal["bfloat16", "float16"] | None = None

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return torch_infeasible(device)

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        with on_slot(slot) as place, ExitStack() as surroundings:
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
