"""The classifier: a small residual network, about 2 ms an image on one core at full width."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from workloads.glyphs.drawing import CLASSES

WIDTHS = (32, 64, 128)
STUDENT_WIDTHS = (16, 32, 64)


class Block(nn.Module):  # type: ignore[misc]
    """Two 3x3 convolutions beside a shortcut: (batch, inputs, h, w) -> (batch, outputs, h/stride, ...)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class Network(nn.Module):  # type: ignore[misc]
    """Images (batch, 1, 32, 32) -> logits (batch, 36)."""

    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = nn.Conv2d(1, first, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.stages = nn.Sequential(Block(first, first, 1), Block(first, second, 2), Block(second, third, 2))
        self.head = nn.Linear(third, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.stages(torch.relu(self.norm(self.stem(image))))
        return self.head(features.mean(dim=(2, 3)))


def is_untrained(model: Any) -> bool:
    """Whether no batch has gone through the model's batch norms in training: it needs the long recipe."""
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    return bool(norms) and all(int(norm.num_batches_tracked) == 0 for norm in norms)
