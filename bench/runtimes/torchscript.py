"""TorchScript: the model traced once, frozen, its batch norms folded; deprecated in torch, still in wide
use."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.feasibility import torch_infeasible
from bench.runtimes.cuda_slot import CUDA_DEVICE, on_slot
from bench.runtimes.torch.model import InputForm, TorchLoaded, positional, use_threads


@plugin
class TorchScript(Runtime):
    """`optimize`: apply `torch.jit.optimize_for_inference` after loading. On a CPU it packs weights for oneDNN, on a
    GPU it fuses convolutions with the additions and ReLUs that follow; neither can be saved, so it is part of
    loading, not of building."""

    requires = ("torch", "safetensors")
    batch_specific = True  # a trace may hold sizes of its example as constants

    optimize: bool = True

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return torch_infeasible(device)

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        import torch

        # Traced where it will run: a trace holds the device of each tensor that the model makes as a constant.
        with on_slot(slot) as place:
            model = recipe.model(place.put)
            form = InputForm.of(model)
            tensors = form.tensors(recipe.workload.inputs(batch_size, seed=0))
            example = tuple(place.put(tensor) for tensor in tensors.values())
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # tracing warns of every Python branch on a size
                traced = torch.jit.trace(positional(model, tuple(tensors)), example, check_trace=False)
                torch.jit.freeze(traced).save(str(folder / "model.torchscript"))
        (folder / "inputs.json").write_text(json.dumps(form.to_json()))

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        form = InputForm(**json.loads((folder / "inputs.json").read_text()))
        with on_slot(slot) as place, torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            # Weights are constants of a frozen graph: they are placed by loading, and cannot be moved afterwards.
            where = CUDA_DEVICE if place.kind == "cuda" else "cpu"
            script = torch.jit.load(str(folder / "model.torchscript"), map_location=where)
            if self.optimize:
                script = torch.jit.optimize_for_inference(script)
            yield TorchLoaded(
                script, form, by_name=False, detail={"optimize": self.optimize}, unseen=primitives(script), place=place
            )


def primitives(script: Any) -> dict[tuple[str, str], int]:
    """oneDNN convolutions in the graph as it is executed. They are the interpreter's own primitives, which
    bypass the dispatcher and so the profiler; torch rewrites only fp32 convolutions to them. A traced graph
    has no loops, so each runs once a call."""
    count = len(script.graph.findAllNodes("prim::mkldnn_convolution"))
    return {("prim::mkldnn_convolution", "fp32"): count} if count else {}
