"""What the tests of converted ONNX graphs share: the models, a graph written by hand, and how graphs are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.contract import Array, Arrays, importable
from workloads.glyphs import Glyphs
from workloads.hub_images import ViTB16

needs_modelopt = pytest.mark.skipif(
    not all(importable(name) for name in ("modelopt", "onnx_graphsurgeon", "onnxslim", "lief")),
    reason="nvidia-modelopt and what it needs for ONNX are not installed",
)
GLYPHS = Glyphs(evaluation_images=250)
VIT = ViTB16(
    image_size=32,
    config={
        "patch_size": 8,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    },
)
WORKLOADS: dict[str, Glyphs | ViTB16] = {"glyphs": GLYPHS, "vit": VIT}


def run(path: Path, inputs: Arrays, batch_size: int = 250) -> Array:
    """Without ONNX Runtime's optimizations: they make integer operators of fp8 ones, which then cannot be loaded."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    items = len(next(iter(inputs.values())))
    batches = [{name: array[i : i + batch_size] for name, array in inputs.items()} for i in range(0, items, batch_size)]
    return np.concatenate([session.run(None, batch)[0] for batch in batches])


def write_product(path: Path, width: int = 32, operand: str = "w") -> Path:
    """A graph of one product with a matrix of width x width, whose node has no name, and whose input is called `file`.

    ONNX's checker refuses it where `operand` is another name than the matrix's, `w`.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.random.default_rng(0).standard_normal((width, width)).astype(np.float32)
    node = helper.make_node("MatMul", ["file", operand], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width]) for name in ("file", "y"))
    graph = helper.make_graph([node], "user", [x], [y], [numpy_helper.from_array(weights, "w")])
    path.parent.mkdir(exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_foreign(path: Path) -> Path:
    """The same, of an operator that is not ONNX's own."""
    import onnx

    model = onnx.load(write_product(path))
    model.graph.node[0].op_type, model.graph.node[0].domain = "FusedMatMul", "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    return path
