"""torch.compile with Inductor: weights frozen into the code, static shapes, C++ kernels compiled beforehand.

Measured (CPU, torch 2.13): what costs a fresh process most is the C++ compiler, and its results are kept in
Inductor's own cache, which `build` fills and `load` reads. With freezing on, Inductor keeps no compiled
*graph* (packed oneDNN weights cannot be cached), so the graph is lowered again in each process: seconds,
against tens of seconds. The cache is Inductor's: source, shared objects and, in places, its own pickles,
written and read by torch alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from bench.contract import Arrays, Loaded, Recipe, Runtime, Slot, plugin
from bench.runtimes.torch_model import InputForm, TorchLoaded, use_threads


@plugin
class TorchCompile(Runtime):
    """`freezing`: take weights for constants, which lets Inductor fold batch norms and pack weights for
    oneDNN."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    batch_specific: ClassVar[bool] = True

    freezing: bool = True

    def build(self, recipe: Recipe, folder: Path, batch_size: int) -> None:
        import torch

        model = recipe.model()
        with self._compiler(folder), torch.inference_mode():
            _compiled(model, recipe.workload.inputs(batch_size, seed=0))

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        model = recipe.model()
        with self._compiler(folder), torch.inference_mode():
            yield TorchLoaded(
                torch.compile(model, dynamic=False),
                InputForm.of(model),
                by_name=True,
                detail={"freezing": self.freezing},
            )

    @contextmanager
    def _compiler(self, folder: Path) -> Iterator[None]:
        """Inductor with our options and its cache in `folder`."""
        cache = folder / "inductor"
        cache.mkdir(exist_ok=True)
        # Read whenever Inductor looks for its cache, also by the compiler processes that it starts.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
        import torch._inductor.config as inductor

        # Dynamic threads: otherwise the slot's thread count is a constant in the C++ code, and `build`, which
        # does not know the slot, would compile what no tenant finds. One compile thread: no worker processes
        # beside the tenant, and there is nothing to compile when the cache is warm.
        options = {
            "freezing": self.freezing,
            "fx_graph_cache": True,
            "cpp.dynamic_threads": True,
            "compile_threads": 1,
        }
        with inductor.patch(options):
            yield


def _compiled(model: Any, inputs: Arrays) -> None:
    """Compile by calling once: torch.compile does nothing before it sees inputs."""
    import torch

    torch.compile(model, dynamic=False)(**InputForm.of(model).tensors(inputs))
