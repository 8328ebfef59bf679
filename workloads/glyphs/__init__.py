"""glyphs: a small image classifier, trained by us on digits and letters that the project draws itself.

The shipped weights name ACCURACY of the 10,000 evaluation images rightly: easy enough to train in minutes,
and hard enough to see what an optimization costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any, ClassVar

import pydantic

from bench.contract import Arrays, Evaluation, Workload, plugin
from workloads.glyphs.recipe import Recipe

ACCURACY = 0.9781
"""Accuracy of the shipped weights in fp32."""

EVALUATION_IMAGES = 10_000
_CALIBRATION_BATCHES = 8
_CALIBRATION_BATCH_SIZE = 64


@plugin
class Glyphs(Workload):
    """Images (batch, 1, 32, 32), called "image", to logits (batch, 36).

    `weights` is "shipped" or a .safetensors file. `evaluation_images`: the first so many of the 10,000 held-out images
    (fewer are quicker, and cannot resolve 1 %). `finetune_images` is how many new images a trained (say,
    pruned) network learns from, `student_images` how many one does that starts from nothing; rates are
    greatest learning rates.
    """

    weights: str = "shipped"
    evaluation_images: Annotated[int, pydantic.Field(ge=1, le=10_000, strict=True)] = 10_000
    finetune_images: int = 64_000
    finetune_rate: float = 3e-3
    student_images: int = 96_000
    student_rate: float = 4e-3

    trainable: ClassVar[bool] = True

    def identity(self) -> Mapping[str, Any]:
        """The weights and all that the images and the training depend on, by value."""
        from workloads.glyphs import drawing
        from workloads.glyphs.weights import checked_sha256, locate

        return {
            "weights_sha256": checked_sha256(locate(self.weights)),
            "drawing_version": drawing.VERSION,
            "ranges": asdict(drawing.RANGES),
            "evaluation_images": self.evaluation_images,
            "calibration_images": _CALIBRATION_BATCHES * _CALIBRATION_BATCH_SIZE,
            "recipes": [asdict(recipe) for recipe in self._recipes()],
        }

    def load(self) -> Any:
        from safetensors.torch import load_file

        from workloads.glyphs.network import Network
        from workloads.glyphs.weights import checked_sha256, locate

        path = locate(self.weights)
        checked_sha256(path)
        network = Network()
        network.load_state_dict(load_file(path))
        return network.eval()

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        from workloads.glyphs import drawing

        images, _ = drawing.draw(batch_size, drawing.REQUESTS, seed)
        return {"image": images}

    def calibration(self) -> Iterator[Arrays]:
        from workloads.glyphs import drawing

        for seed in range(_CALIBRATION_BATCHES):
            images, _ = drawing.draw(_CALIBRATION_BATCH_SIZE, drawing.CALIBRATION, seed)
            yield {"image": images}

    def evaluation(self) -> Evaluation:
        from workloads.glyphs import drawing

        images, labels = drawing.draw(EVALUATION_IMAGES, drawing.EVALUATION, seed=0)
        chosen = slice(self.evaluation_images)
        return Evaluation({"image": images[chosen]}, labels[chosen], batch_size=250)

    def finetune(self, model: Any, teacher: Any | None, seed: int) -> None:
        """The long recipe for a network that was never trained, such as `student()`; else the short one."""
        from workloads.glyphs import network, training

        short, long = self._recipes()
        # Seeds below 1000 are for training weights from scratch: these images are new to them.
        training.train(model, teacher, long if network.is_untrained(model) else short, seed=1000 + seed)

    def student(self) -> Any:
        """Half the width: a quarter of the multiplications."""
        import torch

        from workloads.glyphs.network import STUDENT_WIDTHS, Network

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Network(STUDENT_WIDTHS).eval()

    def _recipes(self) -> tuple[Recipe, Recipe]:
        """For trained networks and for untrained ones. Small batches: the images are few, the steps should not be."""
        return (
            Recipe(self.finetune_images, self.finetune_rate, batch_size=32),
            Recipe(self.student_images, self.student_rate, batch_size=64),
        )
