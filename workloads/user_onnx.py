"""A user's own ONNX graph, with inputs made from its signature or taken from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pydantic

from bench.contract import Array, Arrays, Evaluation, OnnxFile, Workload, plugin
from bench.errors import ConfigError, InputError
from workloads import item_file, onnx_graph
from workloads.files import existing, sha256
from workloads.options import EmptyIfNull
from workloads.synthetic import EVALUATION_SEED, InputSpec


@plugin
class UserOnnx(Workload):
    """The graph at `path`. The first axis of every input is the batch, fixed or dynamic.

    Other dynamic axes get their sizes from `dims` by name, e.g. {seq: 128}. Floats are standard normal, integers
    uniform in [0, int_high). `inputs` names an .npz file with one array per input instead: requests take any of
    its items at random, calibration every fourth, the evaluation all others.
    """

    path: str
    dims: Annotated[dict[str, pydantic.PositiveInt], EmptyIfNull] = pydantic.Field(default_factory=dict)
    int_high: pydantic.PositiveInt = 100
    # Called `inputs` by users; the contract has a method of that name.
    input_file: str | None = pydantic.Field(default=None, validation_alias="inputs")
    items: pydantic.PositiveInt = 64
    evaluation_batch_size: pydantic.PositiveInt = 16

    kind: ClassVar[str] = "onnx"
    default_baseline: ClassVar[str] = "ort_fp32"

    def identity(self) -> Mapping[str, Any]:
        path = self._path
        graph = onnx_graph.read(path)
        signature = self._specs(onnx_graph.inputs(graph))  # refuses unknown axes early
        if self.input_file:
            item_file.read(self.input_file, set(signature))
            made: Any = sha256(existing(self.input_file, item_file.OPTION))
        else:
            made = {name: spec.model_dump(mode="json") for name, (spec, _) in signature.items()}
        return {
            "graph": sha256(path),
            "external": {file.name: sha256(file) for file in onnx_graph.external_files(graph, path)},
            "inputs": made,
            "items": self.items,
        }

    def reads(self) -> tuple[Path, ...]:
        path = self._path
        items = [existing(self.input_file, item_file.OPTION)] if self.input_file else []
        return (path, *onnx_graph.external_files(onnx_graph.read(path), path), *items)

    def load(self) -> OnnxFile:
        return OnnxFile(self._path)

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        """By name, [batch_size, ...] each, as the graph's signature says."""
        if self.fixed_batch not in (None, batch_size):
            raise InputError(
                f"the graph has a fixed batch of {self.fixed_batch}, and {batch_size} items are asked for",
                where=onnx_graph.WHERE,
                hint=f"measure at batch size {self.fixed_batch}, or export it with a dynamic first axis",
            )
        if self._items:
            return self._items.take(_draw(np.arange(self._items.count), batch_size, seed))
        return self._make(batch_size, seed)

    def calibration(self) -> Iterator[Arrays]:
        batch_size = self.fixed_batch or 16
        for seed in range(10_000, 10_008):
            if self._items:
                yield self._items.take(_draw(self._items.calibrating, batch_size, seed))
            else:
                yield self._make(batch_size, seed)

    def evaluation(self) -> Evaluation:
        batch_size = self.fixed_batch or min(self.items, self.evaluation_batch_size)
        if not self._items:
            whole_batches = -(-self.items // batch_size) * batch_size
            return Evaluation(self._make(whole_batches, EVALUATION_SEED), batch_size=batch_size)
        judged = self._items.judged
        if self.fixed_batch:  # then the graph takes whole batches only
            judged = judged[: len(judged) // batch_size * batch_size]
        if not len(judged):
            raise InputError(
                f"it holds {self._items.count} items, too few for batches of {batch_size}",
                where=f"{item_file.OPTION}={self.input_file}",
                hint="give more items, or export the graph with a dynamic first axis",
            )
        return Evaluation(self._items.take(judged), batch_size=batch_size)

    def _make(self, count: int, seed: int) -> Arrays:
        return {name: spec.make(name, count, seed) for name, (spec, _) in self._signature.items()}

    @property
    def fixed_batch(self) -> int | None:
        return next((batch for _, batch in self._signature.values() if batch), None)

    @cached_property
    def _items(self) -> item_file.ItemFile | None:
        return item_file.read(self.input_file, set(self._signature)) if self.input_file else None

    @property
    def _path(self) -> Path:
        return existing(self.path, onnx_graph.WHERE)

    @cached_property
    def _signature(self) -> Mapping[str, tuple[InputSpec, int | None]]:
        return self._specs(onnx_graph.inputs(onnx_graph.read(self._path)))

    def _specs(self, inputs: tuple[onnx_graph.GraphInput, ...]) -> Mapping[str, tuple[InputSpec, int | None]]:
        """How to make one item of each input, and the batch where it is fixed."""
        specs = {}
        for graph_input in inputs:
            if not graph_input.axes:
                raise InputError(
                    f"input {graph_input.name!r} is a scalar: it has no batch",
                    where=onnx_graph.WHERE,
                    hint="export the graph with that input as a constant",
                )
            batch, *rest = graph_input.axes
            shape = [self._size(graph_input.name, axis) for axis in rest]
            high = {} if graph_input.dtype.startswith(("float", "bool")) else {"high": self.int_high}
            try:
                spec = InputSpec.model_validate({"shape": shape, "dtype": graph_input.dtype, **high})
            except pydantic.ValidationError as error:
                raise ConfigError(
                    f"no values can be made for input {graph_input.name!r}: {error.errors()[0]['msg']}",
                    where=onnx_graph.WHERE,
                    hint="give them in a file, workload.inputs=items.npz, or set workload.int_high",
                ) from error
            specs[graph_input.name] = (spec, batch if isinstance(batch, int) else None)
        return specs

    def _size(self, name: str, axis: int | str) -> int:
        if isinstance(axis, int):
            return axis
        if axis in self.dims:
            return self.dims[axis]
        if self.input_file:
            return 1  # the file says
        raise ConfigError(
            f"axis {axis!r} of input {name!r} is dynamic, and nothing says how long it is",
            where="workload.dims",
            hint=f"'workload.dims={{{axis}: 128}}'",
        )


def _draw(indices: Array, count: int, seed: int) -> Array:
    """`count` of the indices at random, the same ones more than once if need be."""
    drawn: Array = np.random.default_rng(seed).choice(indices, count)
    return drawn
