"""torch.compile with Inductor: weights frozen into the code, static shapes, kernels compiled beforehand.

On a CPU, what costs a fresh process most is the C++ compiler; on a GPU it is Triton's, and measuring which kernel is
fastest. Their results are kept in Inductor's own cache, which `build` fills and `load` reads: 13-25 s to the first
result become 3-5 s (a small ResNet, two busy cores). With freezing on, Inductor keeps no compiled *graph* (weights
packed for oneDNN cannot be cached), so the graph is lowered again in each process; without freezing it is kept, which
saves a second of starting and costs the folded weights. The cache is Inductor's: sources, shared objects and, in
places, its own pickles, written and read by torch alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.feasibility import missing, needs_c_compiler, needs_cuda, older_than, torch_infeasible
from bench.runtimes.cuda_slot import on_slot
from bench.runtimes.torch.model import InputForm, TorchLoaded, use_threads
from bench.runtimes.torch.replay import Replayed

CACHE = "inductor"
INSTRUCTIONS = "instructions.txt"
TRITON_CAPABILITY = (7, 0)
GRAPHS = "triton.cudagraphs"
"""Inductor's option that lets it record CUDA graphs."""


@plugin
class TorchCompile(Runtime):
    """`freezing`: take weights for constants, which lets Inductor fold batch norms and, on a CPU, pack weights.

    `mode`, as torch.compile has it: reduce-overhead records CUDA graphs; max-autotune does so too, and picks kernels
    by measuring them (for products, on GPUs of 68 multiprocessors and more: a small slice of one gets cuBLAS's)."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    batch_specific: ClassVar[bool] = True
    slot_specific: ClassVar[bool] = True  # kernels are picked by measuring them on the slot's multiprocessors

    freezing: bool = True
    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        if device.kind == "cpu" and self.mode == "max-autotune":
            return (
                "max-autotune on a CPU writes matrix products into Inductor's own C++ loops, "
                "where torch's profiler cannot see them and no precision can be proved"
            )
        if reason := older_than(device, TRITON_CAPABILITY, "Triton, in which Inductor writes kernels for GPUs,"):
            return reason
        if self._graphs and (reason := needs_cuda(device, what=f"torch.compile's mode {self.mode}, with CUDA graphs,")):
            return reason
        if device.executes_on == "cpu":
            return None
        what = "torch.compile on a GPU"
        return torch_infeasible(device) or missing(("triton",), what) or needs_c_compiler(what)

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        import torch

        self._check_graphs(slot)
        with on_slot(slot) as place:
            model = recipe.model(place.put)
            tensors = InputForm.of(model).tensors(recipe.workload.inputs(batch_size, seed=0))
            with self._inductor(folder), torch.inference_mode():
                # It compiles when it first sees inputs.
                self._compiled(model)(**{name: place.put(tensor) for name, tensor in tensors.items()})
                if place.kind == "cpu":
                    _write_instructions(folder)

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        self._check_graphs(slot)
        use_threads(slot)
        with on_slot(slot) as place:
            model = recipe.model(place.put)
            with self._inductor(folder), torch.inference_mode():
                if place.kind == "cpu":
                    _trust_instructions(folder)
                compiled, form = self._compiled(model), InputForm.of(model)
                detail = {"freezing": self.freezing, "mode": self.mode}
                if self._graphs:
                    plain = self._compiled(model, graphs=False)
                    yield Replayed(compiled, form, by_name=True, detail=detail, place=place, plain=plain)
                else:
                    yield TorchLoaded(compiled, form, by_name=True, detail=detail, place=place)

    @property
    def _graphs(self) -> bool:
        return self.mode != "default"

    def _check_graphs(self, slot: Slot) -> None:
        """Inductor records its graphs on streams of torch's pool, which belong to the whole device."""
        if self._graphs and slot.sm_share is not None:
            raise RuntimeError(
                f"torch.compile's mode {self.mode} records CUDA graphs on streams of its own, and what they replay "
                "would run outside the green context, on all multiprocessors"
            )

    def _compiled(self, model: Any, graphs: bool = True) -> Any:
        import torch
        from torch._inductor import list_mode_options

        options = dict(list_mode_options(self.mode))
        if not graphs:
            options.pop(GRAPHS)
        return torch.compile(model, dynamic=False, options=options)

    @contextmanager
    def _inductor(self, folder: Path) -> Iterator[None]:
        """Inductor with our options and its cache in `folder`."""
        # Inductor and Triton read the variables whenever they look for their caches.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / CACHE)
        os.environ["TRITON_CACHE_DIR"] = str(folder / CACHE / "triton")
        import torch._inductor.config as inductor

        options: dict[str, Any] = {
            "freezing": self.freezing,
            "fx_graph_cache": True,
            # Otherwise the thread count is a constant in the C++ code, and `build`, which runs on all cores, would
            # compile what no tenant finds.
            "cpp.dynamic_threads": True,
            # No pool of compiler processes beside a tenant; with a warm cache there is nothing for them to
            # do.
            "compile_threads": 1,
        }
        with inductor.patch(options):
            yield


def _write_instructions(folder: Path) -> None:
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    (folder / INSTRUCTIONS).write_text(str(pick_vec_isa()))


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
