"""A quantised model damaged on purpose: does the quality bound find it?"""

from __future__ import annotations

from pathlib import Path

from bench.contract import Recipe, Slot, plugin
from bench.runtimes.onnxruntime import OnnxRuntime


@plugin
class DamagedOnnxRuntime(OnnxRuntime):
    """The graph that its base class builds, with the highest bit flipped in `share` of its int8 weights."""

    share: float = 0.01
    seed: int = 0

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        import numpy as np
        import onnx
        from onnx import numpy_helper

        super().build(recipe, folder, batch_size, slot)
        path = folder / "model.onnx"
        graph = onnx.load(path)
        rng = np.random.default_rng(self.seed)
        for weights in graph.graph.initializer:
            values = numpy_helper.to_array(weights).copy()
            if values.dtype == np.int8 and values.ndim > 1:  # one dimension: zero points, which are no weights
                chosen = rng.random(values.shape) < self.share
                values.view(np.uint8)[chosen] ^= 0x80
                weights.CopyFrom(numpy_helper.from_array(values, weights.name))
        onnx.save(graph, path)
