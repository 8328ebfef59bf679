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
from bench.runtimes.torch_model import InputForm, TorchLoaded, positional, use_threads


@plugin
class TorchScript(Runtime):
    """`optimize`: apply `torch.jit.optimize_for_inference` after loading. It packs weights for oneDNN, which
    cannot be saved, so it is part of loading, not of building."""

    requires = ("torch", "safetensors")
    batch_specific = True  # a trace may hold sizes of its example as constants

    optimize: bool = True

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        if device.executes_on == "cuda":
            return "it traces and freezes models on the CPU; on a GPU torch eager runs (fp32, amp_bf16, bf16)"
        return None

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        import torch

        model = recipe.model()
        form = InputForm.of(model)
        tensors = form.tensors(recipe.workload.inputs(batch_size, seed=0))
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of every Python branch on a size
            traced = torch.jit.trace(positional(model, tuple(tensors)), tuple(tensors.values()), check_trace=False)
            torch.jit.freeze(traced).save(str(folder / "model.torchscript"))
        (folder / "inputs.json").write_text(json.dumps(form.to_json()))

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        form = InputForm(**json.loads((folder / "inputs.json").read_text()))
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            script = torch.jit.load(str(folder / "model.torchscript"))
            if self.optimize:
                script = torch.jit.optimize_for_inference(script)
            yield TorchLoaded(
                script, form, by_name=False, detail={"optimize": self.optimize}, unseen=primitives(script)
            )


def primitives(script: Any) -> dict[tuple[str, str], int]:
    """oneDNN convolutions in the graph as it is executed. They are the interpreter's own primitives, which
    bypass the dispatcher and so the profiler; torch rewrites only fp32 convolutions to them. A traced graph
    has no loops, so each runs once a call."""
    count = len(script.graph.findAllNodes("prim::mkldnn_convolution"))
    return {("prim::mkldnn_convolution", "fp32"): count} if count else {}
