"""Integers instead of floating-point numbers, inside torch. (ONNX Runtime quantises graphs: see its
runtime.)"""

from __future__ import annotations

from typing import Any, ClassVar

from bench.contract import Pass, Workload, plugin


@plugin
class Int8Dynamic(Pass):
    """torchao: linear layers with int8 weights (per channel) and activations quantised to int8 as they come
    (per token). Convolutions stay as they are; a model that is mostly convolutions is not an int8 model
    afterwards, and its proof will say so. Fast only under torch.compile."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "torchao")

    def apply(self, model: Any, workload: Workload) -> Any:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        quantize_(model, Int8DynamicActivationInt8WeightConfig())
        return model
