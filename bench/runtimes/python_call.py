"""A plain Python function of one dictionary of arrays, called as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.contract import Array, Arrays, Device, Loaded, Proof, Recipe, Runtime, Slot, Workload, plugin


@plugin
class PythonCall(Runtime):
    """Nothing is built, nothing is changed; what the function does inside is its own affair."""

    kinds: ClassVar[frozenset[str]] = frozenset({"callable"})

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        if device.executes_on == "cuda":
            return "a plain Python function executes on the CPU: measure it with gpu=cpu"
        return None

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        yield CallableLoaded(recipe.workload.load())


@dataclass(frozen=True)
class CallableLoaded(Loaded):
    function: Callable[[Arrays], Any]

    def bind(self, inputs: Arrays) -> Callable[[], Any]:
        return partial(self.function, inputs)

    def outputs(self, result: Any) -> Array:
        return np.asarray(result, dtype=np.float32)

    def prove(self, inputs: Arrays) -> Proof:
        """Calls nothing: there is no profiler for any function, and calling it may have effects."""
        return Proof("native")
