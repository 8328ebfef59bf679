"""torch as it is: one operator after the other, called from Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from bench.contract import Loaded, Recipe, Runtime, Slot, plugin
from bench.runtimes.torch_model import InputForm, TorchLoaded, use_threads


@plugin
class TorchEager(Runtime):
    """`autocast`: the dtype that torch casts heavy operators to as it goes; weights stay as they are, and
    their casts are made once, because one autocast context surrounds all calls."""

    requires = ("torch", "safetensors")

    autocast: Literal["bfloat16", "float16"] | None = None

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        model = recipe.model()  # outside inference mode: autocast caches casts only of ordinary parameters
        if self.autocast is None:
            casting = nullcontext()
        else:
            casting = torch.autocast("cpu", dtype=getattr(torch, self.autocast), cache_enabled=True)
        with torch.inference_mode(), casting:
            yield TorchLoaded(model, InputForm.of(model), by_name=True, detail={})
