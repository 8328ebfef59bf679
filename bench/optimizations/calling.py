"""One convention for all torch models: called as `model(**inputs)`, by input name, and one tensor of the
result counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain_output(result: Any) -> Any:
    """The one tensor that counts: `logits` where there are any (transformers), else the first tensor."""
    import torch

    while not isinstance(result, torch.Tensor):
        logits = getattr(result, "logits", None)
        if logits is not None:
            result = logits
        else:
            result = next(iter(result.values() if isinstance(result, Mapping) else result))
    return result


def call(model: Any, inputs: Mapping[str, Any]) -> Any:
    """The output tensor for these inputs."""
    return plain_output(model(**inputs))


def linear_rows(model: Any, inputs: Mapping[str, Any]) -> dict[Any, int]:
    """How many rows each linear layer that runs is given for these inputs, arrays or tensors, all axes but the last
    taken together; the fewest, where it runs several times."""
    import torch
    from torch import nn

    rows: dict[Any, int] = {}

    def count(layer: Any, given: tuple[Any, ...]) -> None:
        new = given[0].numel() // layer.in_features
        rows[layer] = min(new, rows.get(layer, new))

    weight = next(p for p in model.parameters() if p.is_floating_point())
    tensors = {name: torch.as_tensor(array, device=weight.device) for name, array in inputs.items()}
    placed = {name: t.to(weight.dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    handles = [part.register_forward_pre_hook(count) for part in model.modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        call(model, placed)
    for handle in handles:
        handle.remove()
    return rows


def output_layers(model: Any, inputs: Mapping[str, Any]) -> list[Any]:
    """The layers whose channels the caller of the model sees: the last convolution or linear layer that runs,
    and any other whose result is returned as it is."""
    import torch
    from torch import nn

    ran: list[tuple[Any, Any]] = []
    handles = [
        part.register_forward_hook(lambda layer, _, result: ran.append((layer, result)))
        for part in model.modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        output = call(model, inputs)
    for handle in handles:
        handle.remove()
    returned = [layer for layer, result in ran if result is output]
    return returned or [ran[-1][0]]
