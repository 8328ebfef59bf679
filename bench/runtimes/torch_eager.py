"""torch as it is: one operator after the other, called from Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
        model = recipe.model()
        with ExitStack() as surroundings:
            if self.autocast is None:
                surroundings.enter_context(torch.inference_mode())
            else:
                # Not inference mode: autocast does not keep its casts there, and would cast all weights in
                # each call.
                surroundings.enter_context(torch.no_grad())
                dtype = getattr(torch, self.autocast)
                surroundings.enter_context(torch.autocast("cpu", dtype=dtype, cache_enabled=True))
            yield TorchLoaded(model, InputForm.of(model), by_name=True, detail={})
