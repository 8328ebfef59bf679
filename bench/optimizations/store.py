"""Prepared models on disk: weights as safetensors, changed structure as JSON, no pickle.

A prepared pass (pruning, distillation) is run once; afterwards any process makes the same model from a
*skeleton* (the workload's own model, or the pass's, e.g. an untrained student) by giving its modules the
stored sizes and its parameters the stored values. Structure means the simple attributes that the passes
changed: `in_channels`, `num_features`, `num_attention_heads` ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.contract import Pass, Recipe

WEIGHTS = "weights.safetensors"
STRUCTURE = "structure.json"


def prepared_passes(recipe: Recipe) -> tuple[Pass, ...]:
    """The costly passes of a recipe. They come first: what was stored cannot follow what is applied anew."""
    prepared = tuple(p for p in recipe.passes if p.prepared)
    if prepared != recipe.passes[: len(prepared)]:
        raise ValueError("passes that are prepared must come before those that are applied at every load")
    return prepared


def prepare(recipe: Recipe, folder: Path) -> None:
    """Run the prepared passes of a recipe and write the result into `folder`."""
    import torch

    model = recipe.workload.load()
    for index, part in enumerate(prepared_passes(recipe)):
        torch.manual_seed(index)
        model = part.apply(model, recipe.workload)
    save(model.eval(), _skeleton(recipe), folder)


def restore(recipe: Recipe, put: Callable[[Any], Any] | None = None) -> Any:
    """The recipe's model in eval mode: from the stored result of its prepared passes, where it has such passes. `put`
    moves it to its device before the others are applied."""
    prepared = prepared_passes(recipe)
    if prepared:
        if recipe.prepared_folder is None:
            raise ValueError("a recipe with prepared passes needs the folder in which their result is stored")
        model = load_into(_skeleton(recipe), recipe.prepared_folder)
    else:
        model = recipe.workload.load()
    if put is not None:
        model = put(model)
    for part in recipe.passes[len(prepared) :]:
        model = part.apply(model, recipe.workload)
    return model.eval()


def _skeleton(recipe: Recipe) -> Any:
    """The last prepared pass that replaces the model decides; none does: the workload's own model."""
    for part in reversed(prepared_passes(recipe)):
        skeleton = part.skeleton(recipe.workload)
        if skeleton is not None:
            return skeleton
    return recipe.workload.load()


def save(model: Any, skeleton: Any, folder: Path) -> None:
    """Write what distinguishes `model` from `skeleton`: all weights, and the attributes that differ."""
    from safetensors.torch import save_file

    weights: dict[str, Any] = {}
    owners: dict[int, str] = {}
    ties: dict[str, str] = {}  # names of one and the same tensor (an output layer tied to an embedding)
    for name, tensor in _tensors(model):
        owner = owners.setdefault(id(tensor), name)
        if owner == name:
            weights[name] = tensor.detach().clone().contiguous()
        else:
            ties[name] = owner
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS)
    structure = {"attributes": _changed(model, skeleton), "ties": ties}
    (folder / STRUCTURE).write_text(json.dumps(structure, indent=1, sort_keys=True))


def load_into(skeleton: Any, folder: Path) -> Any:
    """Give the skeleton the structure and the weights stored in `folder`."""
    from safetensors.torch import load_file

    structure = json.loads((folder / STRUCTURE).read_text())
    modules = dict(skeleton.named_modules())
    for module, attributes in structure["attributes"].items():
        for name, value in attributes.items():
            setattr(modules[module], name, tuple(value) if isinstance(value, list) else value)
    weights = load_file(folder / WEIGHTS)
    placed: dict[str, Any] = {name: _place(modules, name, tensor) for name, tensor in weights.items()}
    for name, owner in structure["ties"].items():
        _place(modules, name, placed[owner])
    absent = {name for name, _ in _tensors(skeleton)} - weights.keys() - structure["ties"].keys()
    if absent:
        raise ValueError(f"{folder} holds no value for {', '.join(sorted(absent))}")
    return skeleton.eval()


def _place(modules: Mapping[str, Any], name: str, tensor: Any) -> Any:
    """Put a tensor where the skeleton has a parameter or buffer of this name; returns what now stands
    there."""
    from torch import nn

    path, _, leaf = name.rpartition(".")
    module = modules[path]
    if leaf in module._parameters:
        if not isinstance(tensor, nn.Parameter):
            tensor = nn.Parameter(tensor, requires_grad=module._parameters[leaf].requires_grad)
        module._parameters[leaf] = tensor
    else:
        module._buffers[leaf] = tensor
    return tensor


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Parameters and buffers (also those that are no part of a state dict) under every name they have."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _changed(model: Any, skeleton: Any) -> dict[str, dict[str, Any]]:
    """Simple attributes by module name in which the model differs from the skeleton."""
    originals = dict(skeleton.named_modules())
    changed: dict[str, dict[str, Any]] = {}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or attribute == "training" or not _simple(value):
                continue
            if getattr(originals[name], attribute, None) != value:
                changed.setdefault(name, {})[attribute] = value
    return changed


def _simple(value: Any) -> bool:
    """Numbers, words and tuples of them: what sizes are made of. Tuples come back from JSON as lists."""
    if isinstance(value, tuple):
        return all(_simple(part) for part in value)
    return value is None or type(value) in (bool, int, float, str)
