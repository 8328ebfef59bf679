"""What one item costs at least: multiply-adds and bytes, counted in the builder, kept beside the artifact.

They are what a trial's rate is held to (`gate_ceiling.py`), so wherever something is not certain, the smaller number is
taken. What cannot be counted is not known, with the reason in words; it is never guessed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import wire
from bench.contract import Arrays, Recipe, Workload
from bench.errors import BenchError

WORK = "work.json"
FAST_TILE = 4
"""Outputs per tile and dimension of the fastest convolution that libraries have, Winograd's F(4, k)."""


@dataclass(frozen=True)
class Work:
    """NaN: not known; `unknown` says why.

    flops_per_item: floating-point operations of matrix products, convolutions and attention, two per multiply-add,
        convolutions computed directly; operators that torch has no formula for count nothing. The same whatever
        precision they are computed in.
    least_flops_per_item: the same with the fastest algorithms that libraries use (`least_share_of_convolution`) and
        without attention that is masked.
    weights: values that each request has to read: matrices and kernels of layers that ran. Not embedding tables, of
        which a request reads a few rows.
    values_per_item: of inputs and output.
    """

    flops_per_item: float = math.nan
    least_flops_per_item: float = math.nan
    weights: float = math.nan
    values_per_item: float = math.nan
    unknown: str | None = None

    def write(self, folder: Path) -> None:
        (folder / WORK).write_text(json.dumps(dataclasses.asdict(self), indent=1))


def read(folder: Path) -> Work:
    """(conductor) As a builder wrote it into an artifact's folder."""
    return Work(**json.loads((folder / WORK).read_text()))


def uncounted(workload: Workload) -> str | None:
    """(conductor) Why the work of such models is not counted; None if it is."""
    return None if workload.kind == "torch" else f"the work of a model of kind {workload.kind!r} is not counted"


def count(recipe: Recipe, inputs: Arrays) -> Work:
    """(builder) Of the model after its prepared passes, which change its structure. Those applied at every load (casts,
    quantisation) leave the products as they are, and hide them from the counter. On the CPU, for one batch."""
    if reason := uncounted(recipe.workload):
        return Work(unknown=reason)
    try:
        return _counted(recipe, inputs)
    except BenchError:
        raise
    except Exception as error:  # a model may do anything; that its work is not known is no reason not to build it
        return Work(unknown=f"its work cannot be counted: {wire.told(error)}")


def least_share_of_convolution(kernel: tuple[int, ...], stride: tuple[int, ...]) -> float:
    """Share of a direct convolution's multiplications that are left in the fastest algorithm: along each dimension of
    stride 1, F(4, k) needs k + 3 for 4 outputs instead of 4k (Lavin and Gray 2016; cuDNN uses it for k = 3). Faster
    than direct convolution is no impossible rate."""
    return math.prod(
        (taps + FAST_TILE - 1) / (FAST_TILE * taps) if step == 1 else 1.0
        for taps, step in zip(kernel, stride, strict=True)
    )


def _counted(recipe: Recipe, inputs: Arrays) -> Work:
    import torch

    from bench.optimizations.calling import call

    prepared = tuple(part for part in recipe.passes if part.prepared)
    model = dataclasses.replace(recipe, passes=prepared).model()
    tensors = {name: torch.tensor(array) for name, array in inputs.items()}
    ran: set[Any] = set()
    hooks = [part.register_forward_pre_hook(lambda layer, _: ran.add(layer)) for part in model.modules()]
    counter = _Counter()
    with torch.no_grad():
        output = counter.of(lambda: call(model, tensors))
    for hook in hooks:
        hook.remove()
    if not counter.flops:
        return Work(unknown="no operator in it whose multiply-adds torch can count")
    items = len(next(iter(tensors.values())))
    matrices = {id(matrix): matrix.numel() for layer in ran for matrix in _matrices(layer)}
    return Work(
        flops_per_item=counter.flops / items,
        least_flops_per_item=(counter.flops - counter.spared) / items,
        weights=float(sum(matrices.values())),
        values_per_item=(sum(tensor.numel() for tensor in tensors.values()) + output.numel()) / items,
    )


def _matrices(layer: Any) -> Iterator[Any]:
    """A layer's own weights of two dimensions or more: the others are small, and often folded into these."""
    from torch import nn

    if not isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        yield from (weights for weights in layer.parameters(recurse=False) if weights.dim() > 1)


class _Counter:
    """`flops` of a call, and how many of them are `spared` by the fastest algorithms."""

    def __init__(self) -> None:
        self.flops = 0.0
        self.spared = 0.0

    def of(self, call: Callable[[], Any]) -> Any:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        own = {
            torch.ops.aten.convolution: self._convolution,
            # The form that attention takes on CPUs; torch's own table has only those of GPUs.
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: self._attention,
        }
        with FlopCounterMode(display=False, custom_mapping=own) as counter:
            result = call()
        self.flops = float(counter.get_total_flops())
        return result

    def _convolution(
        self, x: Any, weights: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
        *rest: Any, out_shape: Any = None,
    ) -> int:  # fmt: skip
        """Arguments of aten::convolution, tensors as their shapes."""
        from torch.utils.flop_counter import conv_flop_count

        flops: int = conv_flop_count(x, weights, out_shape, transposed)
        kernel = tuple(weights[2:])
        steps = tuple(stride) * (len(kernel) if len(stride) == 1 else 1)
        self.spared += flops * (1 - least_share_of_convolution(kernel, steps))
        return flops

    def _attention(
        self, query: Any, key: Any, value: Any, dropout: float = 0.0, causal: bool = False,
        *, attn_mask: Any = None, scale: float | None = None, out_shape: Any = None,
    ) -> int:  # fmt: skip
        from torch.utils.flop_counter import sdpa_flop_count

        flops: int = sdpa_flop_count(query, key, value)
        self.spared += flops if causal or attn_mask is not None else 0
        return flops
