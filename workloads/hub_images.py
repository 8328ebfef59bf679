"""Image classifiers from transformers: ResNet-50 and ViT-B/16, 224 x 224, 1000 classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pydantic

from bench.contract import Arrays, plugin
from bench.errors import ConfigError
from workloads import scenes
from workloads.hub import HubClassifier

RESIDUAL_SCALE = 0.2


@plugin
class ImageClassifier(HubClassifier):
    """Input: `pixel_values`, float32 [batch, 3, image_size, image_size]."""

    wrapper: ClassVar[str] = "ImageLogits"
    stream: ClassVar[int] = scenes.IMAGES

    image_size: pydantic.PositiveInt = 224
    num_labels: pydantic.PositiveInt = 1000

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        channels = self.architecture()["num_channels"]
        return {"pixel_values": scenes.images(batch_size, channels, self.image_size, seed)}

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "image_size": self.image_size}

    def prototypes(self, architecture: Mapping[str, Any], kinds: int) -> Arrays:
        return {"pixel_values": scenes.image_prototypes(architecture["num_channels"], self.image_size, kinds)}


@plugin
class ResNet50(ImageClassifier):
    """ResNet-50 (v1.5: the stride is in the 3x3 convolution)."""

    module: ClassVar[str] = "resnet"
    names: ClassVar[tuple[str, str]] = ("ResNetForImageClassification", "ResNetConfig")

    def standard(self) -> Mapping[str, Any]:
        return {
            "num_channels": 3,
            "embedding_size": 64,
            "hidden_sizes": [256, 512, 1024, 2048],
            "depths": [3, 4, 6, 3],
            "layer_type": "bottleneck",
            "hidden_act": "relu",
            "downsample_in_first_stage": False,
            "num_labels": self.num_labels,
        }

    def attention(self) -> Mapping[str, str]:
        return {}  # it has none

    def prepare(self, model: Any) -> None:
        """Weaken the residual branches, as training recipes do that begin them at zero: at full strength
        fifty random layers are chaotic, and bfloat16 rounding alone changed a third of the answers."""
        for name, module in model.named_modules():
            if name.endswith("layer.2.normalization"):
                module.weight.data.fill_(RESIDUAL_SCALE)


@plugin
class ViTB16(ImageClassifier):
    """Vision Transformer, base size, patches of 16 x 16."""

    module: ClassVar[str] = "vit"
    names: ClassVar[tuple[str, str]] = ("ViTForImageClassification", "ViTConfig")

    def standard(self) -> Mapping[str, Any]:
        return {
            "num_channels": 3,
            "image_size": self.image_size,
            "patch_size": 16,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.02,
            "layer_norm_eps": 1e-12,
            "qkv_bias": True,
            "num_labels": self.num_labels,
        }

    def identity(self) -> Mapping[str, Any]:
        size = self.architecture()["image_size"]
        if size != self.image_size:
            raise ConfigError(
                f"the weights are for images of {size} x {size}, and image_size is {self.image_size}",
                where="workload.image_size",
                hint=f"workload.image_size={size}",
            )
        return super().identity()
