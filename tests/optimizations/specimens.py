"""Two small workloads that train in a second: a residual CNN on coloured squares, and a transformer on
sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from bench.contract import Arrays, Evaluation, Workload, plugin

CLASSES = 4


class Residual(nn.Module):
    """Two convolutions around a shortcut, as in a ResNet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x))))))


class SmallCnn(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.block1 = Residual(channels)
        self.down = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.block2 = Residual(2 * channels)
        self.head = nn.Linear(2 * channels, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.block1(torch.relu(self.norm(self.stem(image))))
        x = self.block2(torch.relu(self.down(x)))
        return self.head(x.mean((2, 3)))


class SmallTransformer(nn.Module):
    """One encoder layer over sequences of 8 vectors; returns a dictionary, as transformers' models do."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 32)
        self.norm = nn.LayerNorm(32)
        self.fc1 = nn.Linear(32, hidden)
        self.fc2 = nn.Linear(hidden, 32)
        self.norm2 = nn.LayerNorm(32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, sequence: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.norm(self.embed(sequence))
        scores = torch.softmax(x @ x.transpose(1, 2) / 6.0, -1)
        x = x + scores @ x
        x = self.norm2(x + self.fc2(torch.nn.functional.gelu(self.fc1(x))))
        return {"logits": self.head(x.mean(1)), "hidden": x}


@plugin
class Trained(Workload):
    """A specimen: a noisy pattern per class, and a model that learns it in a few steps."""

    trainable: ClassVar[bool] = True
    name: ClassVar[str] = ""
    shape: ClassVar[tuple[int, ...]] = ()

    def network(self, width: int) -> nn.Module:
        raise NotImplementedError

    def identity(self) -> Mapping[str, Any]:
        return {"specimen": self.name}

    def items(self, count: int, seed: int) -> tuple[Any, Any]:
        patterns = np.random.default_rng(1).standard_normal((CLASSES, *self.shape))
        random = np.random.default_rng(seed)
        labels = random.integers(0, CLASSES, count)
        noisy = patterns[labels] + 0.5 * random.standard_normal((count, *self.shape))
        return noisy.astype(np.float32), labels

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        return {self.name: self.items(batch_size, seed)[0]}

    def evaluation(self) -> Evaluation:
        items, labels = self.items(256, seed=99)
        return Evaluation({self.name: items}, labels)

    def load(self) -> nn.Module:
        """Trained anew each time, and the same each time: with as many threads, whatever a slot has set."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        torch.manual_seed(0)
        model = self.network(16)
        self.finetune(model, None, seed=0)
        torch.set_num_threads(threads)
        return model.eval()

    def student(self) -> nn.Module:
        return self.network(8)

    def finetune(self, model: Any, teacher: Any | None, seed: int) -> None:
        torch.manual_seed(seed)
        model.train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for step in range(25):
            items, labels = self.items(64, seed=1000 + step)
            batch = {self.name: torch.from_numpy(items)}
            loss = nn.functional.cross_entropy(_logits(model(**batch)), torch.from_numpy(labels))
            if teacher is not None:
                with torch.no_grad():
                    wanted = torch.softmax(_logits(teacher(**batch)), -1)
                loss = loss + nn.functional.cross_entropy(_logits(model(**batch)), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()


def _logits(result: Any) -> torch.Tensor:
    return result["logits"] if isinstance(result, dict) else result


@plugin
class Squares(Trained):
    name: ClassVar[str] = "image"
    shape: ClassVar[tuple[int, ...]] = (1, 12, 12)

    def network(self, width: int) -> nn.Module:
        return SmallCnn(width)


@plugin
class Sequences(Trained):
    name: ClassVar[str] = "sequence"
    shape: ClassVar[tuple[int, ...]] = (8, 6)

    def network(self, width: int) -> nn.Module:
        return SmallTransformer(4 * width)
