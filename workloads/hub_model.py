"""Loading of transformers models. Imported by tenants only: torch stands at the top here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from bench.errors import ConfigError, InputError
from workloads.weights import WHERE, Checkpoint


class ImageLogits(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
    """An image classifier of transformers that returns the logits, not an output object."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Any) -> Any:
        return self.model(pixel_values, return_dict=True).logits


class TextLogits(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
    """A text classifier of transformers that returns the logits, not an output object."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.model(input_ids, attention_mask=attention_mask, return_dict=True).logits


def random(
    model_class: Any,
    config_class: Any,
    architecture: Mapping[str, Any],
    attention: Mapping[str, str],
    seed: int,
) -> Any:
    """A freshly initialised model; its weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return model_class._from_config(config_class(**architecture), **attention).float()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{model_class.__name__} cannot be built so: {error}",
                where="workload.config",
                hint=f"see what {config_class.__name__} of transformers takes",
            ) from error


def pretrained(model_class: Any, checkpoint: Checkpoint, attention: Mapping[str, str]) -> Any:
    """The checkpoint's model, if its weights and the class fit each other completely."""
    try:
        model, report = model_class.from_pretrained(
            checkpoint.name,
            revision=checkpoint.revision or "main",
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **attention,
        )
    except Exception as error:  # transformers raises whatever its libraries do
        raise InputError(
            f"the weights cannot be loaded: {str(error).splitlines()[0] if str(error) else repr(error)}",
            where=f"{WHERE}: {checkpoint.name}",
            hint=f"give safetensors weights that {model_class.__name__} can load",
        ) from error
    prefix = model.base_model_prefix + "."
    problems = {
        "missing": sorted(report["missing_keys"]),
        "of another shape": sorted(str(entry[0]) for entry in report["mismatched_keys"]),
        # Poolers and heads of other tasks come with many checkpoints and do no harm; layers left out do.
        "left over": sorted(key for key in report["unexpected_keys"] if key.startswith(prefix) and "pooler" not in key),
    }
    for problem, keys in problems.items():
        if keys:
            raise InputError(
                f"the weights do not fit {model_class.__name__}: {len(keys)} {problem}, e.g. {keys[0]}",
                where=f"{WHERE}: {checkpoint.name}",
                hint="give a checkpoint of this class with its classification head (a fine-tuned one)",
            )
    return model
