"""Graphs in float16: the heavy operators truly are, and their answers are those of float32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.contract import Array, Evaluation
from bench.runtimes.onnx import modelopt
from bench.runtimes.onnx.fp16 import to_fp16

from .onnx_graphs import WORKLOADS, needs_modelopt, run, write_foreign, write_product

pytestmark = needs_modelopt
Graphs = tuple[str, Path, Path]
"""The name of a workload, its graph in float32, and the one in float16."""


@pytest.fixture(scope="module", params=WORKLOADS)
def graphs(
    request: pytest.FixtureRequest, exported: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Graphs:
    source = exported(request.param)
    target = tmp_path_factory.mktemp(request.param) / "fp16.onnx"
    to_fp16(source, target)
    return request.param, source, target


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


def test_all_heavy_operators_are_float16(graphs: Graphs) -> None:
    _, before, after = graphs
    assert {types[1:] for types in operand_types(before)} == {("FLOAT", "FLOAT")}
    assert {types[1:] for types in operand_types(after)} == {("FLOAT16", "FLOAT16")}
    count = {types[0]: number for types, number in operand_types(before).items()}
    assert {types[0]: number for types, number in operand_types(after).items()} == count


def test_inputs_and_outputs_keep_their_types_and_the_batch_stays_dynamic(graphs: Graphs) -> None:
    import onnx

    _, before, after = graphs
    onnx.checker.check_model(after, full_check=True)
    old, new = onnx.load(before).graph, onnx.load(after).graph
    signatures = [[(value.name, value.type) for value in (*graph.input, *graph.output)] for graph in (old, new)]
    assert signatures[0] == signatures[1]


def test_answers_are_those_of_float32(graphs: Graphs, expected: Callable[[str], tuple[Evaluation, Array]]) -> None:
    name, _, after = graphs
    evaluation, wanted = expected(name)
    found = run(after, evaluation.inputs)
    assert found.dtype == np.float32
    assert 0 < np.linalg.norm(found - wanted) < 2e-3 * np.linalg.norm(wanted)
    assert np.mean(found.argmax(1) == wanted.argmax(1)) > 0.99
    if name == "glyphs":
        right = [(answers.argmax(1) == evaluation.labels) for answers in (wanted, found)]
        assert abs(right[0].mean() - right[1].mean()) < 0.01


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_every_batch_size_runs(graphs: Graphs, batch_size: int) -> None:
    name, before, after = graphs
    inputs = WORKLOADS[name].inputs(batch_size, seed=1)
    np.testing.assert_allclose(run(after, inputs), run(before, inputs), atol=0.1)


def test_only_the_target_is_written_and_nothing_is_printed_to_stdout(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write_product(tmp_path / "user" / "model.onnx")
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
    source = write_product(tmp_path / "broken.onnx", operand="nothing")
    with pytest.raises(RuntimeError, match=r"nvidia-modelopt cannot convert the graph: .* the input model is invalid"):
        to_fp16(source, tmp_path / "fp16.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.onnx"]


def test_a_graph_of_foreign_operators_is_refused_in_words(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="the graph has operators that are not ONNX's own: FusedMatMul"):
        to_fp16(source, tmp_path / "fp16.onnx")


def test_weights_that_one_file_cannot_hold_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    one, two = write_product(tmp_path / "one.onnx"), tmp_path / "two.onnx"
    monkeypatch.setattr(modelopt, "PROTOBUF_LIMIT_BYTES", 1000)
    modelopt.save(onnx.load(one), two)
    assert (tmp_path / "two.onnx.data").stat().st_size >= 4 * 32 * 32
    inputs = {"file": np.ones((2, 32), np.float32)}
    assert np.array_equal(run(one, inputs), run(two, inputs))
