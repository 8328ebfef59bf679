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
