"""Trains a network on images drawn as they are needed: none is seen twice, so none can be learnt by heart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from workloads.glyphs import drawing
from workloads.glyphs.recipe import Recipe

_PART_IMAGES = 6_400  # drawn at once: 26 MB

Report = Callable[[int, float], None]
"""Called after each part with the images seen so far and the mean loss over the part."""


def train(model: Any, teacher: Any | None, recipe: Recipe, seed: int, report: Report | None = None) -> None:
    """Train in place, and leave the model in eval mode. Deterministic in `seed` for a number of threads."""
    model.train().requires_grad_(True).to(memory_format=torch.channels_last)
    if teacher is not None:
        teacher.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay)
    # Twice as fast where the processor has wide vectors, and a loss where it has not.
    fast_bf16 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    steps = recipe.images // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.peak_rate, total_steps=steps, pct_start=recipe.warmup_share
    )
    seen, losses = 0, []
    for images, labels in _batches(steps, recipe.batch_size, seed):
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16):
            logits = model(images).float()
            answer = None if teacher is None else _answer(teacher, images)
        loss = _loss(logits, labels, answer, recipe)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        seen += len(labels)
        losses.append(float(loss.detach()))
        if report is not None and seen % _PART_IMAGES == 0:
            report(seen, sum(losses) / len(losses))
            losses.clear()
    model.eval().to(memory_format=torch.contiguous_format)


def _batches(steps: int, batch_size: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """New images for every step: (batch, 1, 32, 32) and (batch,)."""
    per_part = _PART_IMAGES // batch_size
    for step in range(steps):
        if step % per_part == 0:
            count = min(_PART_IMAGES, (steps - step) * batch_size)
            images, labels = drawing.draw(count, drawing.TRAINING, seed, part=step // per_part)
        start = step % per_part * batch_size
        chosen = slice(start, start + batch_size)
        # One channel: the images are in channels-last order already.
        yield torch.from_numpy(images[chosen]), torch.from_numpy(labels[chosen])


def _answer(teacher: Any, images: torch.Tensor) -> torch.Tensor:
    """The teacher's logits: (batch, 36)."""
    with torch.no_grad():
        logits: torch.Tensor = teacher(images).float()
    return logits


def _loss(logits: Any, labels: Any, answer: Any | None, recipe: Recipe) -> Any:
    """Cross-entropy with the labels, mixed with the divergence from the teacher's softened answer."""
    if answer is None:
        return functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    truth = functional.cross_entropy(logits, labels)  # the teacher's answer is smooth enough
    softened = functional.log_softmax(logits / recipe.temperature, dim=1)
    target = functional.log_softmax(answer / recipe.temperature, dim=1)
    divergence = functional.kl_div(softened, target, reduction="batchmean", log_target=True)
    # Gradients of softened answers are smaller by the temperature squared (Hinton et al., 2015).
    share = recipe.teacher_share
    return share * recipe.temperature**2 * divergence + (1 - share) * truth


def accuracy(model: Any, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], batch_size: int = 250) -> float:
    """Share of the images whose most likely class is the right one."""
    right = 0
    with torch.inference_mode():
        for start in range(0, len(labels), batch_size):
            chosen = slice(start, start + batch_size)
            answer = model(torch.from_numpy(images[chosen])).argmax(dim=1).numpy()
            right += int((answer == labels[chosen]).sum())
    return right / len(labels)
