"""A torch model as one ONNX file with a dynamic batch axis."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from pathlib import Path

from bench.contract import Recipe
from bench.runtimes.torch.model import InputForm, positional

PROTOBUF_LIMIT_BYTES = 2**31 - 2**24
"""A protobuf message holds less than 2 GiB; the graph itself gets 16 MiB of that. Larger weights go beside
it."""


def export(recipe: Recipe, path: Path) -> None:
    """Write the recipe's model to `path`: inputs named as the workload's, one output named `output`."""
    import torch

    model = recipe.model()
    # Two items: an example of one would make the exporter take the batch for a constant.
    tensors = InputForm.of(model).tensors(recipe.workload.inputs(2, seed=0))
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in tensors)
    size_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
    with _quiet():
        program = torch.onnx.export(
            positional(model, tuple(tensors)),
            tuple(tensors.values()),
            dynamo=True,
            input_names=list(tensors),
            output_names=["output"],
            dynamic_shapes=(shapes,),  # one entry for `*tensors`, which holds one per tensor
            verbose=False,
        )
        program.save(str(path), external_data=size_bytes > PROTOBUF_LIMIT_BYTES)


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """The exporter prints its progress to stdout, which may be a protocol's stream: it goes to stderr."""
    onnxscript = logging.getLogger("onnxscript")
    level = onnxscript.level
    onnxscript.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        onnxscript.setLevel(level)
