"""Which layers do most of the work, and whether an optimization changes enough of them to be called by its name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def refuse_if_mostly_unchanged(model: Any, changed: Collection[Any], what: str, need: str) -> None:
    """Raise ValueError where `changed` are less than half of the model's convolutions and linear layers: the precision
    that is proved is that of most of them. `need`: what those that stay as they are lack."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    convolutions = sum(isinstance(part, _ConvNd) for part in model.modules())
    linear = sum(isinstance(part, nn.Linear) for part in model.modules())
    if 2 * len(changed) >= convolutions + linear:
        return
    stay = {"convolution": convolutions, "linear layer": linear - len(changed)}
    told = " and ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in stay.items() if count)
    raise ValueError(
        f"{what} would change {len(changed)} of this model's {convolutions + linear} heavy layers, less than half: "
        f"{told} stay as they are ({need})"
    )
