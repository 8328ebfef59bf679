"""Graphs in float16: the heavy operators truly are, and their answers are those of float32."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Arrays, Recipe, importable
from bench.runtimes.onnx import fp16 as onnx_fp16
from bench.runtimes.onnx.fp16 import to_fp16
from workloads.glyphs import Glyphs
from workloads.hub_images import ViTB16

pytestmark = pytest.mark.skipif(
    not all(importable(name) for name in ("modelopt", "onnx_graphsurgeon", "onnxslim", "lief")),
    reason="nvidia-modelopt and what it needs for ONNX are not installed",
)
GLYPHS = Glyphs(evaluation_images=500)
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


@pytest.fixture(scope="module", params=["glyphs", "vit"])
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Path]:
    """A workload, its graph in float32, and the one in float16."""
    from bench.runtimes.onnx.export import export

    workload = {"glyphs": GLYPHS, "vit": VIT}[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    export(Recipe(workload), folder / "fp32.onnx")
    to_fp16(folder / "fp32.onnx", folder / "fp16.onnx")
    return workload, folder / "fp32.onnx", folder / "fp16.onnx"


def run(path: Path, inputs: Arrays, batch_size: int = 250) -> Array:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    items = len(next(iter(inputs.values())))
    batches = [{name: array[i : i + batch_size] for name, array in inputs.items()} for i in range(0, items, batch_size)]
    return np.concatenate([session.run(None, batch)[0] for batch in batches])


def operand_types(path: Path) -> Counter[tuple[str, ...]]:
    """Heavy nodes, by operator and types of both operands."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    values = (*model.graph.value_info, *model.graph.input)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    name = onnx.TensorProto.DataType.Name
    heavy = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return Counter((node.op_type, *(name(types[i]) for i in node.input[:2])) for node in heavy)


def test_all_heavy_operators_are_float16(graphs: tuple[Any, Path, Path]) -> None:
    _, before, after = graphs
    assert {types[1:] for types in operand_types(before)} == {("FLOAT", "FLOAT")}
    assert {types[1:] for types in operand_types(after)} == {("FLOAT16", "FLOAT16")}
    count = {types[0]: number for types, number in operand_types(before).items()}
    assert {types[0]: number for types, number in operand_types(after).items()} == count


def test_inputs_and_outputs_keep_their_types_and_the_batch_stays_dynamic(graphs: tuple[Any, Path, Path]) -> None:
    import onnx

    _, before, after = graphs
    onnx.checker.check_model(after, full_check=True)
    old, new = onnx.load(before).graph, onnx.load(after).graph
    signatures = [[(value.name, value.type) for value in (*graph.input, *graph.output)] for graph in (old, new)]
    assert signatures[0] == signatures[1]


def test_answers_are_those_of_float32(graphs: tuple[Any, Path, Path]) -> None:
    workload, before, after = graphs
    evaluation = workload.evaluation()
    expected, found = run(before, evaluation.inputs), run(after, evaluation.inputs)
    assert found.dtype == np.float32
    assert 0 < np.linalg.norm(found - expected) < 2e-3 * np.linalg.norm(expected)
    assert np.mean(found.argmax(1) == expected.argmax(1)) > 0.99
    if workload is GLYPHS:
        right = [(answers.argmax(1) == evaluation.labels) for answers in (expected, found)]
        assert abs(right[0].mean() - right[1].mean()) < 0.01


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_every_batch_size_runs(graphs: tuple[Any, Path, Path], batch_size: int) -> None:
    workload, before, after = graphs
    inputs = workload.inputs(batch_size, seed=1)
    np.testing.assert_allclose(run(after, inputs), run(before, inputs), atol=0.1)


def test_only_the_target_is_written_and_nothing_is_printed_to_stdout(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "user" / "model.onnx"
    source.parent.mkdir()
    write_product(source, 32)
    before = source.read_bytes(), source.stat().st_mtime_ns
    target = tmp_path / "built" / "fp16.onnx"
    target.parent.mkdir()
    to_fp16(source, target)
    assert [path.name for path in source.parent.iterdir()] == ["model.onnx"]
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before
    assert [path.name for path in target.parent.iterdir()] == ["fp16.onnx"]
    assert capfd.readouterr().out == ""
    assert operand_types(target) == {("MatMul", "FLOAT16", "FLOAT16"): 1}


def test_what_modelopt_says_is_in_the_error(tmp_path: Path) -> None:
    source = tmp_path / "broken.onnx"
    source.write_bytes(b"no graph at all")
    with pytest.raises(RuntimeError, match=r"nvidia-modelopt cannot convert the graph: .*DecodeError"):
        to_fp16(source, tmp_path / "fp16.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.onnx"]


def test_a_graph_of_foreign_operators_is_refused_in_words(tmp_path: Path) -> None:
    import onnx

    write_product(tmp_path / "model.onnx", 32)
    model = onnx.load(tmp_path / "model.onnx")
    model.graph.node[0].op_type, model.graph.node[0].domain = "FusedMatMul", "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(RuntimeError, match="the graph has operators that are not ONNX's own: FusedMatMul"):
        to_fp16(tmp_path / "model.onnx", tmp_path / "fp16.onnx")


def test_weights_that_one_file_cannot_hold_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    write_product(tmp_path / "one.onnx", 32)
    monkeypatch.setattr(onnx_fp16, "PROTOBUF_LIMIT_BYTES", 1000)
    onnx_fp16.save(onnx.load(tmp_path / "one.onnx"), tmp_path / "two.onnx")
    assert (tmp_path / "two.onnx.data").stat().st_size >= 4 * 32 * 32
    inputs = {"x": np.ones((2, 32), np.float32)}
    assert np.array_equal(run(tmp_path / "one.onnx", inputs), run(tmp_path / "two.onnx", inputs))


def write_product(path: Path, width: int) -> None:
    """A graph of one matrix product of width x width."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.random.default_rng(0).standard_normal((width, width)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width]) for name in "xy")
    graph = helper.make_graph([node], "user", [x], [y], [numpy_helper.from_array(weights, "w")])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
