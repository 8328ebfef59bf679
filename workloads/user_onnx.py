"""A user's own ONNX graph, with inputs made from its signature or taken from a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pydantic

from bench.contract import Array, Arrays, Evaluation, OnnxFile, Workload, plugin
from bench.errors import ConfigError, InputError
from workloads import onnx_graph
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
        given = existing(self.input_file, "workload.inputs") if self.input_file else None
        if given:
            self._check_file(set(signature))
        return {
            "graph": sha256(path),
            "external": {file.name: sha256(file) for file in onnx_graph.external_files(graph, path)},
            "inputs": sha256(given)
            if given
            else {name: spec.model_dump(mode="json") for name, (spec, _) in signature.items()},
            "items": self.items,
        }

    def load(self) -> OnnxFile:
        return OnnxFile(self._path)

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        """By name, [batch_size, ...] each, as the graph's signature says."""
        for name, (_, fixed) in self._signature.items():
            if fixed not in (None, batch_size):
                raise InputError(
                    f"input {name!r} has a fixed batch of {fixed}, and a batch of {batch_size} is asked for",
                    where=onnx_graph.WHERE,
                    hint=f"measure at a batch size of {fixed}, or export the graph with a dynamic first axis",
                )
        if self.input_file:
            chosen = np.random.default_rng(seed).integers(0, self._file_items, batch_size)
            return {name: self._file[name][chosen] for name in self._signature}
        return {name: spec.make(name, batch_size, seed) for name, (spec, _) in self._signature.items()}

    def evaluation(self) -> Evaluation:
        fixed = next((size for _, size in self._signature.values() if size), None)
        batch_size = fixed or min(self.items, self.evaluation_batch_size)
        if self.input_file:
            # A graph with a fixed batch can only take whole batches.
            count = self._file_items // fixed * fixed if fixed else self._file_items
            if not count:
                raise InputError(
                    f"it holds {self._file_items} items, and the graph takes {fixed} at a time",
                    where=f"workload.inputs={self.input_file}",
                    hint=f"give at least {fixed} items",
                )
            return Evaluation({n: self._file[n][:count] for n in self._signature}, batch_size=batch_size)
        count = -(-self.items // batch_size) * batch_size
        specs = self._signature.items()
        return Evaluation(
            {name: spec.make(name, count, EVALUATION_SEED) for name, (spec, _) in specs}, batch_size=batch_size
        )

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

    @cached_property
    def _file(self) -> Mapping[str, Array]:
        path = existing(self.input_file or "", "workload.inputs")
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored.items())
        except Exception as error:  # zip, zlib, numpy and pickle errors alike
            raise InputError(
                f"{path} is not an .npz file of arrays: {error}",
                where="workload.inputs",
                hint="write it with numpy.savez(path, input_name=array, ...), numbers only",
            ) from error

    @property
    def _file_items(self) -> int:
        return len(next(iter(self._file.values())))

    def _check_file(self, names: set[str]) -> None:
        lengths = {name: len(array) if array.ndim else 0 for name, array in self._file.items()}
        if not names <= set(lengths) or len({lengths[name] for name in names}) != 1 or not all(lengths.values()):
            raise InputError(
                f"it holds {lengths or 'nothing'}, and the graph takes {', '.join(sorted(names))}",
                where=f"workload.inputs={self.input_file}",
                hint="store one array per input, all with the same number of items as their first axis",
            )
