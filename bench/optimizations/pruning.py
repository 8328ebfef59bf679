"""Fewer weights: whole channels removed (smaller, faster), or single weights set to zero (only sparser)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pydantic

from bench.contract import Arrays, Pass, Workload, plugin

Ratio = Annotated[float, pydantic.Field(gt=0, lt=1)]

HEAD_SIZES = ("head_dim", "attention_head_size")
"""What attention modules call the width of one head (transformers, in its various files)."""


@plugin
class PruneStructured(Pass):
    """Remove `ratio` of the channels in every group of layers that torch-pruning finds to depend on one
    another, the weakest (by L2 norm) first, never of the output layer. Then fine-tune with the original as
    teacher, where the workload has training data; where it has none, quality suffers in full, and is measured.

    In transformers the residual stream stays whole, as its width is the model's: `ratio` of the feed-forward
    channels and of the attention heads go, whole heads only.
    """

    requires: ClassVar[tuple[str, ...]] = ("torch", "torch_pruning", "safetensors")
    prepared: ClassVar[bool] = True

    ratio: Ratio = 0.5
    seed: int = 0

    def apply(self, model: Any, workload: Workload) -> Any:
        remove_channels(model.eval(), workload.inputs(2, seed=0), self.ratio)
        if workload.trainable:
            workload.finetune(model, workload.load(), self.seed)
        return model.eval()


@plugin
class PruneUnstructured(Pass):
    """Set the smallest `ratio` of the weights of each convolution and linear layer to zero, then fine-tune,
    where the workload has training data, with the zeros kept. Dense kernels multiply by zero as slowly as by
    anything."""

    prepared: ClassVar[bool] = True

    ratio: Ratio = 0.5
    seed: int = 0

    def apply(self, model: Any, workload: Workload) -> Any:
        from torch import nn
        from torch.nn.utils import prune

        layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
        for layer in layers:
            # Reparametrised as weight_orig * mask: whatever the training does, the zeros stay.
            prune.l1_unstructured(layer, "weight", amount=self.ratio)
        if workload.trainable:
            workload.finetune(model, None, self.seed)
        for layer in layers:
            prune.remove(layer, "weight")
        return model.eval()


def remove_channels(model: Any, inputs: Arrays, ratio: float) -> None:
    """Prune the model in place. `inputs` are an example: dependencies between layers are traced through
    it."""
    import torch
    import torch_pruning as tp
    from torch import nn

    from bench.optimizations.calling import call, output_layers

    example = {name: torch.tensor(array) for name, array in inputs.items()}
    heads = attention_heads(model)
    stream = [part for part in model.modules() if isinstance(part, nn.LayerNorm | nn.Embedding)]
    tp.pruner.MagnitudePruner(
        model,
        example_inputs=example,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=[*output_layers(model, example), *stream],
        num_heads={layer: count for layer, (count, _) in heads.items()},
        prune_num_heads=True,
        prune_head_dims=False,
        head_pruning_ratio=ratio,
        forward_fn=call,
    ).step()
    for layer, (_, attention) in heads.items():
        _tell(attention, layer.out_features)


def attention_heads(model: Any) -> dict[Any, tuple[int, Any]]:
    """Query, key and value projections -> (number of heads, the attention module). An attention module is one
    that knows the size of its heads and has linear layers of a multiple of it, its output projection
    aside."""
    from torch import nn

    found = {}
    for module in model.modules():
        size = next((getattr(module, name) for name in HEAD_SIZES if hasattr(module, name)), None)
        if not isinstance(size, int):
            continue
        for name, layer in module.named_children():
            if isinstance(layer, nn.Linear) and name[0] in "qkv" and layer.out_features % size == 0:
                found[layer] = (layer.out_features // size, module)
    return found


def _tell(attention: Any, width: int) -> None:
    """Keep an attention module's own notes in step with its layers, for whoever reads them."""
    size = next(getattr(attention, name) for name in HEAD_SIZES if hasattr(attention, name))
    for name, value in {
        "num_attention_heads": width // size,
        "num_heads": width // size,
        "n_heads": width // size,
        "all_head_size": width,
    }.items():
        if hasattr(attention, name):
            setattr(attention, name, value)
