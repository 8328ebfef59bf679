"""Fewer bits, inside torch, by torchao: linear layers only. (Other runtimes quantise graphs of their own: see there.)

All are applied wherever the model is loaded, on the device that executes it, because weights are packed for that
device's kernels. Convolutions stay as they are; a model that is mostly convolutions is not a quantised model
afterwards, and its proof will say so. Fast only under torch.compile, which fuses the scaling into its neighbours.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from bench.contract import Device, Pass, Workload, plugin
from bench.feasibility import needs_cuda

INT8_CAPABILITY = INT4_CAPABILITY = (8, 0)
FP8_CAPABILITY = (8, 9)
"""As torchao has it: Ada as well as Hopper and newer."""
CPU_ROWS = 16
"""What the int4 kernels for CPUs take together; kept on GPUs too, so that the same layers are quantised everywhere."""


@plugin
class Int8Dynamic(Pass):
    """int8 weights (per channel), and activations quantised to int8 as they come (per token)."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "torchao")

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return needs_cuda(device, INT8_CAPABILITY, "torchao's int8") if device.executes_on == "cuda" else None

    def apply(self, model: Any, workload: Workload) -> Any:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        quantize_(model, Int8DynamicActivationInt8WeightConfig())
        return model


@plugin
class Float8Dynamic(Pass):
    """fp8 (E4M3) weights and activations, the latter quantised as they come, each with one scale per tensor."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "torchao")

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return needs_cuda(device, FP8_CAPABILITY, "torchao's fp8")

    def apply(self, model: Any, workload: Workload) -> Any:
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerTensor, quantize_

        quantize_(model, Float8DynamicActivationFloat8WeightConfig(granularity=PerTensor()))
        _refuse_if_untouched(model, "fp8 products need layers of multiples of 16")
        return model


@plugin
class Int4WeightOnly(Pass):
    """int4 weights, one scale and zero point for each `group_size` of them, multiplied in bf16: what is saved is
    memory and its traffic. The model must be in bf16. Each device has its own packing and kernels; those for CPUs are
    among torchao's prototypes."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "torchao")

    group_size: Literal[32, 64, 128, 256] = 32

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return needs_cuda(device, INT4_CAPABILITY, "torchao's int4") if device.executes_on == "cuda" else None

    def apply(self, model: Any, workload: Workload) -> Any:
        from torchao.quantization import quantize_

        quantize_(model, self.config(next(model.parameters()).device.type), self._fits)
        _refuse_if_untouched(model, f"int4 needs groups of {self.group_size} inputs and of {CPU_ROWS} outputs")
        return model

    def config(self, kind: str) -> Any:
        """torchao's, for a device of this kind."""
        if kind == "cuda":
            from torchao.quantization import Int4WeightOnlyConfig

            # The other packings need mslk or another vendor's device.
            return Int4WeightOnlyConfig(group_size=self.group_size, int4_packing_format="tile_packed_to_4d")
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

        return PrototypeInt4WeightOnlyConfig(group_size=self.group_size)

    def _fits(self, layer: Any, name: str) -> bool:
        from torch import nn

        if not isinstance(layer, nn.Linear):
            return False
        return bool(layer.in_features % self.group_size == 0 and layer.out_features % CPU_ROWS == 0)


def _refuse_if_untouched(model: Any, need: str) -> None:
    """Raise ValueError where torchao has quantised no layer, which it does not say."""
    from torchao.utils import TorchAOBaseTensor

    if not any(isinstance(parameter, TorchAOBaseTensor) for parameter in model.parameters()):
        raise ValueError(f"no linear layer of this model can be quantised: {need}")
