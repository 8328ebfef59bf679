"""A model made slower on purpose, by a known share: does the instrument find what is certainly there?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import clock
from bench.contract import Array, Arrays, Loaded, Proof, Recipe, Slot, plugin
from bench.runtimes.python_call import PythonCall


@plugin
class SlowedCall(PythonCall):
    """A callable after which the process stays busy for `slowdown` of the time that the call took."""

    slowdown: float = 0.05

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        with super().load(recipe, folder, slot) as loaded:
            yield Slowed(loaded, self.slowdown)


@dataclass(frozen=True)
class Slowed(Loaded):
    """`inner`, slowed down."""

    inner: Loaded
    slowdown: float

    def bind(self, inputs: Arrays) -> Callable[[], Any]:
        call = self.inner.bind(inputs)

        def slowed() -> Any:
            began_ns = clock.now_ns()
            result = call()
            ended_ns = clock.now_ns()
            until_ns = ended_ns + self.slowdown * (ended_ns - began_ns)
            while clock.now_ns() < until_ns:
                pass
            return result

        return slowed

    def outputs(self, result: Any) -> Array:
        return self.inner.outputs(result)

    def prove(self, inputs: Arrays) -> Proof:
        return self.inner.prove(inputs)
