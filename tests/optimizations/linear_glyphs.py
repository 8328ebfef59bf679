"""glyphs, its convolutions written as linear layers over patches of the image: the same network with the same weights,
in the form that quantised and sparse linear layers can take."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bench.contract import Array, plugin
from workloads.glyphs import Glyphs


class Unfolded(nn.Module):
    """A convolution without bias: (batch, inputs, h, w) -> (batch, outputs, h/stride, w/stride)."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.size, self.stride = convolution.kernel_size[0], convolution.stride[0]
        patch = convolution.in_channels * self.size**2
        self.linear = nn.Linear(patch, convolution.out_channels, bias=False)
        self.linear.weight = nn.Parameter(convolution.weight.detach().reshape(-1, patch).clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if type(self.linear.weight.data) is torch.Tensor:  # neither quantised nor sparse
            return self.quickly(x)
        return self.by_patches(x)

    def by_patches(self, x: torch.Tensor) -> torch.Tensor:
        side = x.shape[-1] // self.stride
        patches = functional.unfold(x, self.size, padding=self.size // 2, stride=self.stride).transpose(1, 2)
        y: torch.Tensor = self.linear(patches)
        return y.transpose(1, 2).reshape(len(x), -1, side, side)

    def quickly(self, x: torch.Tensor) -> torch.Tensor:
        """As the convolution that it is: ten times faster, which training needs."""
        for hook in self.linear._forward_pre_hooks.values():  # where pruning multiplies by its mask
            hook(self.linear, (x,))
        inputs = self.linear.in_features // self.size**2
        weight = self.linear.weight.reshape(-1, inputs, self.size, self.size)
        return functional.conv2d(x, weight, None, self.stride, self.size // 2)


def unfold(module: nn.Module) -> nn.Module:
    """The same module, its convolutions replaced in place."""
    for name, part in module.named_children():
        if isinstance(part, nn.Conv2d):
            setattr(module, name, Unfolded(part))
        else:
            unfold(part)
    return module


@plugin
class LinearGlyphs(Glyphs):
    def load(self) -> Any:
        return unfold(super().load()).eval()


def right(model: Any, workload: Glyphs) -> Array:
    """Of each of the evaluation's images, whether the model names it rightly."""
    items = workload.evaluation()
    assert items.labels is not None
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    images = torch.from_numpy(items.inputs["image"]).to(dtype)
    with torch.inference_mode():
        answers = np.concatenate([model(batch).float().argmax(1).numpy() for batch in images.split(250)])
    return answers == items.labels
