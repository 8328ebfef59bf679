"""Helpers: an option from its yaml, and one cell of an experiment executed in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.contract import Array, Loaded, Optimization, Recipe, Slot, Workload
from bench.instantiate import instantiate
from bench.optimizations import store

FOLDER = Path(__file__).parents[2] / "configs" / "optimizations"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SLOT = Slot(index=0, threads=1)


def option(name: str) -> Optimization:
    """The option as its file describes it; the file must hold one key, its own name."""
    ((key, node),) = yaml.safe_load((FOLDER / f"{name}.yaml").read_text()).items()
    assert key == name
    return instantiate(node, Optimization, name)


@contextmanager
def loaded(optimization: Optimization, workload: Workload, folder: Path, batch_size: int = 8) -> Iterator[Loaded]:
    """Prepare, build and load as builder and tenant do, in `folder`."""
    recipe = Recipe(workload, optimization.passes)
    if store.prepared_passes(recipe):
        prepared = folder / "prepared"
        if not prepared.exists():
            store.prepare(recipe, prepared)
        recipe = Recipe(workload, optimization.passes, prepared)
    built = folder / "built"
    if not built.exists():
        built.mkdir()
        optimization.runtime.build(recipe, built, batch_size, SLOT)
    with optimization.runtime.load(recipe, built, SLOT) as result:
        yield result


def answers(model: Loaded, workload: Workload, batch_size: int = 8, seed: int = 5) -> Array:
    return model.outputs(model.bind(workload.inputs(batch_size, seed))())


def cosine(one: Array, other: Array) -> float:
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
