"""What an ONNX graph says about its inputs, read without a runtime and without loading external data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import InputError

WHERE = "workload.path"


@dataclass(frozen=True)
class GraphInput:
    """One input: sizes are numbers, or names of dynamic axes (made up where the graph gives none)."""

    name: str
    dtype: str
    axes: tuple[int | str, ...]


def read(path: Path) -> Any:
    """The graph at `path`, without external data; an `InputError` if it is no ONNX model."""
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's exceptions differ between its implementations
        raise _corrupt(path, str(error).splitlines()[0] if str(error) else repr(error)) from error
    # Protobuf reads many a file that is no model: such a one has no operators or no version.
    if not model.graph.node or not model.opset_import:
        raise _corrupt(path, "it holds no operators")
    return model


def inputs(model: Any) -> tuple[GraphInput, ...]:
    """The inputs that a caller has to give: initialisers may be listed among a graph's inputs too."""
    import onnx

    constant = {tensor.name for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name in constant:
            continue
        tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
            raise InputError(
                f"input {value.name!r} is not a tensor of known rank",
                where=WHERE,
                hint="export the graph with tensors of fixed rank as inputs",
            )
        axes = tuple(
            size.dim_value if size.HasField("dim_value") else size.dim_param or f"{value.name}_{axis}"
            for axis, size in enumerate(tensor.shape.dim)
        )
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        found.append(GraphInput(value.name, dtype, axes))
    return tuple(found)


def external_files(model: Any, path: Path) -> tuple[Path, ...]:
    """The files beside the graph that hold its weights, in order of name; an `InputError` if one is missing or
    shorter than the graph says."""
    needed: dict[Path, int] = {}
    for tensor in _tensors(model.graph):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if "location" in entries:
            file = path.parent / entries["location"]
            end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
            needed[file] = max(needed.get(file, 0), end)
    for file, size_bytes in needed.items():
        if not file.is_file():
            raise InputError(
                f"{file}, which holds the graph's weights, does not exist",
                where=WHERE,
                hint=f"copy it to where {path.name} is, under this very name",
            )
        if file.stat().st_size < size_bytes:
            raise InputError(
                f"{file} is shorter than the graph says ({size_bytes} bytes)", where=WHERE, hint="copy it again"
            )
    return tuple(sorted(needed))


def _tensors(graph: Any) -> Any:
    """All constant tensors of a graph and of the graphs inside its operators."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)


def _corrupt(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not an ONNX model: {why}",
        where=WHERE,
        hint="check that the file is whole: python -c \"import onnx; onnx.checker.check_model('...')\"",
    )
