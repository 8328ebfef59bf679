"""A user's own model in Python: a function that returns an `nn.Module` or a callable of arrays."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from bench.contract import Array, Arrays, Evaluation, Workload, plugin
from bench.errors import ConfigError, InputError
from bench.git import python_state
from workloads.dotted import Dotted
from workloads.files import all_of, existing, sha256
from workloads.options import EmptyIfNull, Keywords
from workloads.synthetic import EVALUATION_SEED, InputSpec


@plugin
class UserPython(Workload):
    """What `factory(**kwargs)` returns: the model, or a tuple (model, inputs), where `inputs(batch_size,
    seed)` gives a dictionary of arrays and stands in for `inputs_factory`.

    The factory is called after seeding Python, numpy and torch with `seed`, so that every process gets the
    same weights. The conductor never imports it: it only finds and hashes the source files of its
    package, and all Python files of the checkout that it is in. What else changes the model (weights) is
    hashed when it is named in `files`.
    """

    factory: str
    kwargs: Keywords = pydantic.Field(default_factory=dict)
    model: Literal["torch", "callable"] = "torch"
    # Called `inputs` by users; the contract has a method of that name.
    input_specs: Annotated[dict[str, InputSpec], EmptyIfNull] = pydantic.Field(
        default_factory=dict, validation_alias="inputs"
    )
    inputs_factory: str | None = None
    files: list[str] = pydantic.Field(default_factory=list)
    seed: pydantic.NonNegativeInt = 0
    items: pydantic.PositiveInt = 64
    evaluation_batch_size: pydantic.PositiveInt = 16

    # The contract says class variable; here it depends on an option, and nobody ever sets it.
    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.model

    @property
    def default_baseline(self) -> str:  # type: ignore[override]
        return "fp32" if self.model == "torch" else "native"

    def identity(self) -> Mapping[str, Any]:
        if self.input_specs and self.inputs_factory:
            raise ConfigError(
                "inputs and inputs_factory are both given",
                where="workload.inputs",
                hint="keep one: describe the inputs, or name the function that makes them",
            )
        named = {"factory": self.factory}
        if self.inputs_factory:
            named["inputs_factory"] = self.inputs_factory
        return {
            "checkout": python_state(self._dotted("factory").source().parent),
            "sources": {role: [path, all_of(self._dotted(role).sources())] for role, path in named.items()},
            "kwargs": self.kwargs,
            "model": self.model,
            "inputs": {name: spec.model_dump(mode="json") for name, spec in self.input_specs.items()},
            "files": [sha256(existing(path, "workload.files")) for path in self.files],
            "seed": self.seed,
            "items": self.items,
        }

    def reads(self) -> tuple[Path, ...]:
        return tuple(existing(path, "workload.files") for path in self.files)

    def load(self) -> Any:
        model = self._made()[0]
        return model.eval() if self.model == "torch" else model

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        """As described by `inputs`, or made by `inputs_factory` or by what the factory returned."""
        if self.input_specs:
            return {name: spec.make(name, batch_size, seed) for name, spec in self.input_specs.items()}
        return self._checked(self._make_inputs(batch_size, seed), batch_size)

    def evaluation(self) -> Evaluation:
        inputs = self.inputs(self.items, EVALUATION_SEED)
        return Evaluation(inputs, batch_size=min(self.items, self.evaluation_batch_size))

    @cached_property
    def _make_inputs(self) -> Callable[[int, int], Any]:
        if self.inputs_factory:
            return self._dotted("inputs_factory").function()
        made = self._made()[1]
        if made is None:
            raise InputError(
                "nothing says what the model's inputs are",
                where="workload.inputs",
                hint="describe them, 'workload.inputs={image: {shape: [3,32,32]}}', or name a function "
                "(batch_size, seed) that makes them, workload.inputs_factory=package.module:function",
            )
        return made

    def _made(self) -> tuple[Any, Callable[[int, int], Any] | None]:
        """The model and, where the factory gives one, the function that makes its inputs."""
        function = self._dotted("factory").function()
        try:
            inspect.signature(function).bind(**self.kwargs)
        except TypeError as error:
            raise InputError(
                f"{self.factory} cannot be called so: {error}",
                where="workload.kwargs",
                hint=f"it takes {inspect.signature(function)}",
            ) from error
        self._seed_everything()
        made = function(**self.kwargs)
        model, make_inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
        if not self._fits(model) or not (make_inputs is None or callable(make_inputs)):
            wanted = "an nn.Module" if self.model == "torch" else "a callable of a dictionary of arrays"
            raise InputError(
                f"{self.factory} returned {_type(made)}, not {wanted}",
                where="workload.factory",
                hint=f"return {wanted}, or a tuple of it and a function (batch_size, seed) that makes "
                "inputs; workload.model says which kind (torch or callable)",
            )
        return model, make_inputs

    def _fits(self, model: object) -> bool:
        if self.model == "callable":
            return callable(model)
        import torch

        return isinstance(model, torch.nn.Module)

    def _seed_everything(self) -> None:
        random.seed(self.seed)
        np.random.seed(self.seed)
        if self.model == "torch":
            import torch

            torch.manual_seed(self.seed)

    def _checked(self, made: Any, batch_size: int) -> dict[str, Array]:
        """What a user's function returned, if it is a dictionary of arrays with `batch_size` items each."""
        where = f"workload.inputs_factory={self.inputs_factory}" if self.inputs_factory else self.factory
        if not isinstance(made, Mapping) or not made:
            raise InputError(f"it returned {_type(made)}", where=where, hint="return a dictionary of arrays")
        arrays = {str(name): np.asarray(array) for name, array in made.items()}
        for name, array in arrays.items():
            if array.ndim == 0 or len(array) != batch_size or array.dtype == object:
                raise InputError(
                    f"for {batch_size} items it made {name!r} of shape {array.shape} and type {array.dtype}",
                    where=where,
                    hint="make numeric arrays whose first axis is the batch",
                )
        return arrays

    def _dotted(self, option: str) -> Dotted:
        return Dotted(getattr(self, option), option=f"workload.{option}")


def _type(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {', '.join(type(part).__name__ for part in value) or 'nothing'}"
    return f"a {type(value).__name__}"
