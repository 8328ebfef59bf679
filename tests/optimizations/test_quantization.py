"""torchao's quantisation: what it asks of torchao, the arithmetic of what cannot run here, and what it costs."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.optimizations.calling import linear_rows
from bench.optimizations.quantization import FP8_CAPABILITY, Float8Dynamic, Int4WeightOnly, Int8Dynamic
from workloads.glyphs import Glyphs

from .linear_glyphs import LinearGlyphs, right, unfold
from .specimens import Sequences, Squares


def dense_int4(weight: torch.Tensor, group_size: int) -> torch.Tensor:
    """The weights that the int4 kernels multiply by: 16 levels in each group, from its least to its greatest weight,
    with zero points in floating point. Written down here anew."""
    groups = weight.float().reshape(-1, group_size)
    low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
    scale = ((high - low) / 15).clamp(min=1e-6).to(weight.dtype).float()
    zero = (low + scale * 8).to(weight.dtype).float()
    steps = ((groups - (zero - scale * 8)) / scale).round().clamp(0, 15)
    return ((steps - 8) * scale + zero).reshape(weight.shape).to(weight.dtype)


@pytest.mark.parametrize("group_size", [32, 64])
def test_int4_kernels_multiply_by_sixteen_levels_in_each_group(group_size: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(128, 64)).eval()  # in fp32, where no rounding blurs the comparison
    images = torch.randn(8, 128)
    wanted = nn.functional.linear(images, dense_int4(model[0].weight.detach(), group_size), model[0].bias)
    with torch.inference_mode():
        got = Int4WeightOnly(group_size).apply(model, Sequences())(images)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)
    assert type(model[0].weight.data).__name__ == "Int4OpaqueTensor"


def test_int4_on_a_gpu_takes_the_packing_that_needs_no_other_library() -> None:
    config = Int4WeightOnly().config("cuda")
    assert (config.group_size, config.int4_packing_format) == (32, "tile_packed_to_4d")
    from torchao.quantization.quantize_.workflows.int4.int4_packing_format import Int4PackingFormat

    assert config.int4_packing_format == Int4PackingFormat.TILE_PACKED_TO_4D


def test_fp8_weights_are_rounded_to_three_bits_of_mantissa() -> None:
    """The weights' side of the conversion, which torchao does on any device; products in fp8 need a GPU."""
    from torchao.quantization import Float8Tensor, PerTensor

    torch.manual_seed(0)
    weight = torch.randn(64, 128, dtype=torch.bfloat16)
    stored = Float8Tensor.from_hp(weight, float8_dtype=torch.float8_e4m3fn, granularity=PerTensor())
    assert stored.qdata.dtype is torch.float8_e4m3fn and stored.scale.numel() == 1
    error = (stored.dequantize() - weight).abs().float()
    # Half a step of E4M3 (2 ** -4) and half one of bf16; tiny weights fall below its normal numbers.
    assert (error <= weight.abs().float() * (2**-4 + 2**-8) + weight.abs().max().float() * 2**-14).all()


def test_fp8_is_asked_for_as_torchao_has_it() -> None:
    import torchao.quantization
    from torchao.quantization import quant_api

    config = torchao.quantization.Float8DynamicActivationFloat8WeightConfig
    inspect.signature(config).bind(granularity=torchao.quantization.PerTensor())
    assert f"CUDA>={FP8_CAPABILITY[0]}.{FP8_CAPABILITY[1]}" in inspect.getsource(quant_api)
    with pytest.raises(AssertionError, match=r"8\.9"):  # torchao itself refuses a CPU
        Float8Dynamic().apply(Sequences().load().to(torch.bfloat16), Sequences())


def test_a_model_of_which_nothing_can_be_int4_says_so() -> None:
    told = r"int4 would change 0 of .* 6 convolutions and 1 linear layer stay as they are \(it needs groups of 32"
    with pytest.raises(ValueError, match=told):
        Int4WeightOnly().apply(Squares().load().to(torch.bfloat16), Squares())


@pytest.mark.parametrize("quantise", [Int8Dynamic(), Float8Dynamic(), Int4WeightOnly()], ids=lambda p: type(p).__name__)
def test_a_network_of_convolutions_is_refused_and_left_as_it_was(quantise: Any) -> None:
    model = Glyphs().load().to(torch.bfloat16)
    with pytest.raises(ValueError, match=r"9 convolutions.* stay as they are"):
        quantise.apply(model, Glyphs())
    assert all(type(parameter.data) is torch.Tensor for parameter in model.parameters())


def test_what_torchao_leaves_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchao.quantization.quantize_", lambda *_: None)
    with pytest.raises(ValueError, match="torchao's int8 changed no layer"):
        Int8Dynamic().apply(Sequences().load(), Sequences())


class Pooled(nn.Module):
    """As BERT: layers over the sequence, and heads over one vector of it."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.odd = nn.Linear(16, 32), nn.Linear(32, 20)
        self.body, self.head = nn.Linear(20, 24), nn.Linear(32, 8)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        x = self.wide(sequence)
        self.body(self.odd(x))
        return self.head(x[:, 0])


@pytest.mark.parametrize(("length", "chosen"), [(17, ["wide"]), (16, [])])
def test_on_a_gpu_int8_takes_layers_of_enough_rows_and_of_even_sizes(length: int, chosen: list[str]) -> None:
    model = Pooled().to(torch.bfloat16)
    sequence = np.zeros((1, length, 16), dtype=np.float32)
    workload: Any = SimpleNamespace(inputs=lambda batch_size, seed: {"sequence": sequence})
    assert Int8Dynamic().layers_on_gpu(model, workload) == [getattr(model, name) for name in chosen]
    assert linear_rows(model, {"sequence": sequence}) == {
        model.wide: length, model.odd: length, model.body: length, model.head: 1,
    }  # fmt: skip
    assert not any(layer._forward_pre_hooks for layer in model.children())


def test_only_fitting_layers_become_int4() -> None:
    model = Int4WeightOnly().apply(Sequences().load().to(torch.bfloat16), Sequences())
    kinds = {name: type(part.weight.data).__name__ for name, part in model.named_modules() if hasattr(part, "weight")}
    assert {name for name, kind in kinds.items() if kind == "Int4OpaqueTensor"} == {"fc1", "fc2"}


@pytest.mark.slow
def test_glyphs_in_int8_lose_less_than_one_point() -> None:
    workload = LinearGlyphs(evaluation_images=1_000)
    original = right(workload.load(), workload)
    now = right(Int8Dynamic().apply(workload.load(), workload), workload)
    assert original.mean() > 0.96
    assert abs(now.mean() - original.mean()) <= 0.01
    assert (now != original).mean() < 0.02


@pytest.mark.slow
def test_glyphs_in_int4_lose_less_than_one_point() -> None:
    """With the weights that the kernels multiply by (see above), in bf16: the kernels for CPUs are slow on images."""
    workload = Glyphs(evaluation_images=1_000)
    original = right(workload.load(), workload)
    model, changed = unfold(workload.load()).to(torch.bfloat16), 0
    for part in Int4WeightOnly().layers(model):
        part.weight.data = dense_int4(part.weight.data, 32)
        changed += 1
    assert changed == 8
    now = right(model.eval(), workload)
    assert original.mean() > 0.96
    assert abs(now.mean() - original.mean()) <= 0.01
