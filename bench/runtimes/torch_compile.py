"""torch.compile with Inductor: weights frozen into the code, static shapes, C++ kernels compiled beforehand.

What costs a fresh process most is the C++ compiler. Its results are kept in Inductor's own cache, which
`build` fills and `load` reads: 13-25 s to the first result become 3-5 s (a small ResNet, two busy cores).
With freezing on, Inductor keeps no compiled *graph* (weights packed for oneDNN cannot be cached), so the
graph is lowered again in each process; without freezing it is kept, which saves a second of starting and
costs the folded weights. The cache is Inductor's: sources, shared objects and, in places, its own pickles,
written and read by torch alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.runtimes.torch_model import InputForm, TorchLoaded, use_threads

CACHE = "inductor"
INSTRUCTIONS = "instructions.txt"


@plugin
class TorchCompile(Runtime):
    """`freezing`: take weights for constants, which lets Inductor fold batch norms and pack weights."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    batch_specific: ClassVar[bool] = True

    freezing: bool = True

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        if device.executes_on == "cuda":
            return "it compiles C++ for the CPU; on a GPU torch eager runs (fp32, amp_bf16, bf16)"
        return None

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        import torch
        from torch._inductor.cpu_vec_isa import pick_vec_isa

        model = recipe.model()
        tensors = InputForm.of(model).tensors(recipe.workload.inputs(batch_size, seed=0))
        with self._inductor(folder), torch.inference_mode():
            torch.compile(model, dynamic=False)(**tensors)  # compiles when it first sees inputs
            (folder / INSTRUCTIONS).write_text(str(pick_vec_isa()))

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        model = recipe.model()
        with self._inductor(folder), torch.inference_mode():
            _trust_instructions(folder)
            compiled = torch.compile(model, dynamic=False)
            yield TorchLoaded(compiled, InputForm.of(model), by_name=True, detail={"freezing": self.freezing})

    @contextmanager
    def _inductor(self, folder: Path) -> Iterator[None]:
        """Inductor with our options and its cache in `folder`."""
        # Inductor reads the variable whenever it looks for its cache.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / CACHE)
        import torch._inductor.config as inductor

        options: dict[str, Any] = {
            "freezing": self.freezing,
            "fx_graph_cache": True,
            # Otherwise the slot's thread count is a constant in the C++ code, and `build`, which does not
            # know the slot, would compile what no tenant finds.
            "cpp.dynamic_threads": True,
            # No pool of compiler processes beside a tenant; with a warm cache there is nothing for them to
            # do.
            "compile_threads": 1,
        }
        with inductor.patch(options):
            yield


def _trust_instructions(folder: Path) -> None:
    """Skip Inductor's check that the compiler's vector code loads, which starts a Python process in every
    tenant (1.3 s of CPU time): `build` has done it on this machine, for the very instructions that are chosen
    here."""
    import torch._inductor.config as inductor
    from torch._inductor import cpu_vec_isa

    inductor.cpp.vec_isa_ok = True
    checked = folder / INSTRUCTIONS
    if not checked.exists() or checked.read_text() != str(cpu_vec_isa.pick_vec_isa()):
        inductor.cpp.vec_isa_ok = None
        cpu_vec_isa.valid_vec_isa_list.cache_clear()
