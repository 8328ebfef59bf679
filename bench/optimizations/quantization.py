"""Fewer bits, inside torch, by torchao: linear layers only. (Other runtimes quantise graphs of their own: see there.)

All are applied wherever the model is loaded, on the device that executes it, because weights are packed for that
device's kernels. Convolutions stay as they are; a model that is mostly convolutions would not be a quantised model
afterwards, and is refused. Fast only under torch.compile, which fuses the scaling into its neighbours.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from bench.contract import Device, Pass, Workload, plugin
from bench.feasibility import needs_cuda, older_than, torch_infeasible
from bench.optimizations.calling import linear_rows
from bench.optimizations.heavy import refuse_if_mostly_unchanged

INT8_CAPABILITY = INT4_CAPABILITY = (8, 0)
FP8_CAPABILITY = (8, 9)
"""As torchao has it: Ada as well as Hopper and newer."""
INT8_ROWS = 16
"""cuBLAS multiplies int8 only by more rows (torch's _int_mm says so) ..."""
INT8_SIZE = 8
"""... and only sizes that are multiples of this."""
FP8_SIZE = 16
"""torchao leaves layers alone whose sizes are no multiples of this, and does not say so."""
CPU_ROWS = 16
"""What the int4 kernels for CPUs take together; kept on GPUs too, so that the same layers are quantised everywhere."""


@plugin
class Int8Dynamic(Pass):
    """int8 weights (per channel), and activations quantised to int8 as they come (per token). On a GPU only in layers
    that see enough rows of one item: the heads of classifiers see one, and would be multiplied in another way."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "torchao")

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return older_than(device, INT8_CAPABILITY, "torchao's int8") or torch_infeasible(device)

    def apply(self, model: Any, workload: Workload) -> Any:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig

        on_gpu = next(model.parameters()).device.type == "cuda"
        layers = self.layers_on_gpu(model, workload) if on_gpu else linear_layers(model)
        need = "it is of linear layers"
        if on_gpu:
            need += f" with more than {INT8_ROWS} rows of one item and sizes in multiples of {INT8_SIZE}"
        return _quantised(model, layers, Int8DynamicActivationInt8WeightConfig(), "torchao's int8", need)

    def layers_on_gpu(self, model: Any, workload: Workload) -> list[Any]:
        rows = linear_rows(model, workload.inputs(1, 0))
        return [
            layer
            for layer in linear_layers(model)
            if rows.get(layer, 0) > INT8_ROWS and _multiples(layer, INT8_SIZE, INT8_SIZE)
        ]


@plugin
class Float8Dynamic(Pass):
    """fp8 (E4M3) weights and activations, the latter quantised as they come, each with one scale per tensor."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "torchao")

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return needs_cuda(device, FP8_CAPABILITY, "torchao's fp8")

    def apply(self, model: Any, workload: Workload) -> Any:
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerTensor

        layers = [layer for layer in linear_layers(model) if _multiples(layer, FP8_SIZE, FP8_SIZE)]
        config = Float8DynamicActivationFloat8WeightConfig(granularity=PerTensor())
        return _quantised(model, layers, config, "torchao's fp8", f"it needs sizes in multiples of {FP8_SIZE}")


@plugin
class Int4WeightOnly(Pass):
    """int4 weights, one scale and zero point for each `group_size` of them, multiplied in bf16: what is saved is
    memory and its traffic. The model must be in bf16. Each device has its own packing and kernels; those for CPUs are
    among torchao's prototypes."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "torchao")

    group_size: Literal[32, 64, 128, 256] = 32

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return older_than(device, INT4_CAPABILITY, "torchao's int4") or torch_infeasible(device)

    def apply(self, model: Any, workload: Workload) -> Any:
        config = self.config(next(model.parameters()).device.type)
        need = f"it needs groups of {self.group_size} inputs and of {CPU_ROWS} outputs"
        return _quantised(model, self.layers(model), config, "torchao's int4", need)

    def layers(self, model: Any) -> list[Any]:
        return [layer for layer in linear_layers(model) if _multiples(layer, self.group_size, CPU_ROWS)]

    def config(self, kind: str) -> Any:
        """torchao's, for a device of this kind."""
        if kind == "cuda":
            from torchao.quantization import Int4WeightOnlyConfig

            # The other packings need mslk or another vendor's device.
            return Int4WeightOnlyConfig(group_size=self.group_size, int4_packing_format="tile_packed_to_4d")
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

        return PrototypeInt4WeightOnlyConfig(group_size=self.group_size)


def linear_layers(model: Any) -> list[Any]:
    """Those that torchao can quantise: not the output projection of nn.MultiheadAttention, which is no call of it."""
    from torch import nn
    from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

    return [
        part
        for part in model.modules()
        if isinstance(part, nn.Linear) and not isinstance(part, NonDynamicallyQuantizableLinear)
    ]


def _multiples(layer: Any, inputs: int, outputs: int) -> bool:
    return bool(layer.in_features % inputs == 0 and layer.out_features % outputs == 0)


def _quantised(model: Any, layers: list[Any], config: Any, what: str, need: str) -> Any:
    """The model with these layers quantised in place. ValueError where they are too few, or left alone."""
    from torchao.quantization import quantize_
    from torchao.utils import TorchAOBaseTensor

    refuse_if_mostly_unchanged(model, layers, what, need)
    quantize_(model, config, lambda layer, _: any(layer is chosen for chosen in layers))
    if not any(isinstance(layer.weight, TorchAOBaseTensor) for layer in layers):
        raise ValueError(f"{what} changed no layer of this model: {need}")
    return model
