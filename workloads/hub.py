"""What all classifiers from transformers have in common, with random weights or a checkpoint's."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pydantic

from bench.contract import Arrays, Evaluation, Workload, plugin
from bench.errors import ConfigError, InputError
from workloads import scenes
from workloads.options import Keywords
from workloads.synthetic import EVALUATION_SEED
from workloads.weights import WHERE, Checkpoint, find


@plugin
class HubClassifier(Workload):
    """A model of which a subclass names the class and writes out the architecture.

    `weights`: "random" (from `seed`, and made meaningful: see `random_weights.py`), "hub:<id>" at `revision`,
    or a local folder. `config` changes the architecture, e.g. {num_hidden_layers: 2}; it goes with random
    weights only.
    """

    weights: str = "random"
    revision: str = "main"
    config: Keywords = field(default_factory=dict)
    seed: pydantic.NonNegativeInt = 0
    attn_implementation: Literal["sdpa", "eager"] = "sdpa"
    evaluation_items: pydantic.PositiveInt = 64
    evaluation_batch_size: pydantic.PositiveInt = 8

    module: ClassVar[str]
    """Last part of the model's module in transformers, and its `model_type`."""
    names: ClassVar[tuple[str, str]]
    """Classes of the model and of its configuration."""

    width: ClassVar[str] = "hidden_size"
    """Name of the configuration's entry for the width of the layers."""
    wrapper: ClassVar[str]
    """Class in `hub_model.py` that the model is wrapped in."""
    stream: ClassVar[int]
    """Of `scenes`: what its inputs are made from."""

    @abstractmethod
    def standard(self) -> Mapping[str, Any]:
        """The architecture with the options of the workload in it."""

    @abstractmethod
    def prototypes(self, architecture: Mapping[str, Any], kinds: int) -> Arrays:
        """One input of each kind, for the weights that are made meaningful."""

    def prepare(self, model: Any) -> None:
        """What is special about the random weights of an architecture."""
        return

    def architecture(self) -> Mapping[str, Any]:
        """The configuration in force: the checkpoint's where there is one."""
        checkpoint = self.checkpoint()
        if checkpoint:
            return {**self.standard(), **checkpoint.config}
        found = {**self.standard(), **self.config}
        if "initializer_range" in found and "initializer_range" not in self.config:
            # Narrower layers need larger weights, or the inputs fade from layer to layer.
            width, standard_width = found[self.width], self.standard()[self.width]
            found["initializer_range"] *= (standard_width / width) ** 0.5
        return found

    def checkpoint(self) -> Checkpoint | None:
        found = find(self.weights, self.revision)
        if found and self.config:
            raise ConfigError(
                "config changes the architecture, and the weights are of another",
                where="workload.config",
                hint="leave workload.config out, or use workload.weights=random",
            )
        if found and found.config.get("model_type") != self.module:
            raise InputError(
                f"the weights are of a {found.config.get('model_type', 'nameless')} model, not {self.module}",
                where=f"{WHERE}={self.weights}",
                hint=f"give weights that {self.names[0]} can load",
            )
        return found

    def identity(self) -> Mapping[str, Any]:
        checkpoint = self.checkpoint()
        return {
            "model": self.names[0],
            "weights": dict(checkpoint.identity()) if checkpoint else {"seed": self.seed},
            "architecture": dict(self.architecture()),
            "attn_implementation": self.attn_implementation,
            "evaluation_items": self.evaluation_items,
        }

    def reads(self) -> tuple[Path, ...]:
        checkpoint = self.checkpoint()
        return checkpoint.files if checkpoint else ()

    def load(self) -> Any:
        """An `nn.Module` that takes the inputs by name and returns logits, float32 [batch, labels]."""
        from workloads import hub_model

        model_class, config_class = (
            getattr(importlib.import_module(f"transformers.models.{self.module}.{part}_{self.module}"), name)
            for part, name in zip(("modeling", "configuration"), self.names, strict=True)
        )
        checkpoint = self.checkpoint()
        if checkpoint:
            model = hub_model.pretrained(model_class, checkpoint, self.attention())
        else:
            model = hub_model.random(model_class, config_class, self.architecture(), self.attention(), self.seed)
            self.prepare(model)
        wrapped = getattr(hub_model, self.wrapper)(model).eval()
        if not checkpoint:
            from workloads.random_weights import make_meaningful

            kinds = min(scenes.KINDS, model.config.num_labels)
            make_meaningful(wrapped, self.prototypes(self.architecture(), kinds), self.seed)
        return wrapped

    def attention(self) -> Mapping[str, str]:
        return {"attn_implementation": self.attn_implementation}

    def evaluation(self) -> Evaluation:
        """Random weights are made to tell the kinds of `scenes` apart, so there an item's kind is its label; a
        checkpoint's classes mean something else."""
        inputs = self.inputs(self.evaluation_items, EVALUATION_SEED)
        known = self.checkpoint() is None and self.architecture()["num_labels"] >= scenes.KINDS
        labels = scenes.kinds(self.evaluation_items, EVALUATION_SEED, self.stream) if known else None
        return Evaluation(inputs, labels, batch_size=min(self.evaluation_items, self.evaluation_batch_size))
