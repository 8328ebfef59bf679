"""Graphs in int8 and fp8: what is around each heavy operator, where the scales come from, and what the answers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from bench.contract import Array, Arrays, OnnxFile, Recipe, Workload, importable, plugin
from bench.runtimes.onnx import fp16 as onnx_fp16
from bench.runtimes.onnx.qdq import HEAVY, quantize, quantized_nodes
from workloads.glyphs import Glyphs
from workloads.hub_images import ViTB16

pytestmark = pytest.mark.skipif(
    not all(importable(name) for name in ("modelopt", "onnx_graphsurgeon", "onnxslim", "lief")),
    reason="nvidia-modelopt and what it needs for ONNX are not installed",
)
Precision = Literal["int8", "fp8"]
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


@plugin
class UserFile(Workload):
    """Somebody's graph, calibrated with numbers between -`largest` and `largest`."""

    kind: ClassVar[str] = "onnx"
    path: Path
    largest: float = 1.0

    def identity(self) -> Mapping[str, Any]:
        return {"path": str(self.path)}

    def load(self) -> OnnxFile:
        return OnnxFile(self.path)

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        return {"file": np.random.default_rng(seed).uniform(-1, 1, (batch_size, 32)).astype(np.float32)}

    def calibration(self) -> Iterator[Arrays]:
        for seed in range(3):
            batch = dict(self.inputs(16, seed))
            batch["file"][seed, 0] = self.largest * (-1 if seed == 1 else 0.5)
            yield batch


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Workload, Path]]:
    from bench.runtimes.onnx.export import export

    folder = tmp_path_factory.mktemp("exported")
    for name, workload in (("glyphs", GLYPHS), ("vit", VIT)):
        export(Recipe(workload), folder / f"{name}.onnx")
    return {"glyphs": (GLYPHS, folder / "glyphs.onnx"), "vit": (VIT, folder / "vit.onnx")}


Case = tuple[Any, Path, Path, tuple[str, Precision]]
"""A workload, its graph in float32, the quantised one (the rest in float16), and the names of both."""
CASES: tuple[tuple[str, Precision], ...] = (("glyphs", "int8"), ("glyphs", "fp8"), ("vit", "int8"))


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, exported: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Case:
    name, precision = request.param
    workload, source = exported[name]
    target = tmp_path_factory.mktemp(name) / "quantized.onnx"
    quantize(source, target, workload, precision)
    return workload, source, target, request.param


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


class Graph:
    """What the tests ask of a quantised graph."""

    def __init__(self, path: Path) -> None:
        import onnx

        self.onnx = onnx
        self.model = onnx.load(path)
        self.constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.producers = {output: node for node in self.model.graph.node for output in node.output}

    @property
    def heavy(self) -> list[Any]:
        return [node for node in self.model.graph.node if node.op_type in HEAVY]

    def quantizer(self, node: Any, operand: int) -> Any:
        """The QuantizeLinear that an operand of a heavy node comes from."""
        back = self.producers[node.input[operand]]
        assert back.op_type == "DequantizeLinear"
        there = self.producers[back.input[0]]
        assert there.op_type == "QuantizeLinear"
        for mine, theirs in zip(back.input[1:], there.input[1:], strict=True):
            assert np.array_equal(self.array(mine), self.array(theirs))
        return there

    def array(self, name: str) -> Array:
        array: Array = self.onnx.numpy_helper.to_array(self.constants[name])
        return array

    def scale(self, node: Any, operand: int) -> Array:
        return self.array(self.quantizer(node, operand).input[1])


def test_every_heavy_operator_is_between_8_bits(case: Case) -> None:
    """Except one: GPUs gain nothing from fp8 in the first convolution, of 1 or 3 channels."""
    _, source, target, (_, precision) = case
    graph, count = Graph(target), len(Graph(source).heavy)
    left = [node for node in graph.heavy if node not in quantized_nodes(graph.model)]
    assert len(graph.heavy) == count
    assert [node.op_type for node in left] == (["Conv"] if precision == "fp8" else [])
    assert all(graph.array(node.input[1]).shape[1] <= 3 for node in left)


def test_zero_points_are_zero_and_of_the_type_asked_for(case: Case) -> None:
    _, _, target, (_, precision) = case
    graph = Graph(target)
    types = {"int8": graph.onnx.TensorProto.INT8, "fp8": graph.onnx.TensorProto.FLOAT8E4M3FN}
    checked = 0
    for node in quantized_nodes(graph.model):
        for operand in (0, 1):
            zero_point = graph.quantizer(node, operand).input[2]
            assert graph.constants[zero_point].data_type == types[precision]
            assert not graph.array(zero_point).astype(np.float32).any()
            checked += 1
    assert checked >= 18


def test_weights_have_a_scale_per_output_channel_and_activations_one(
    case: Case,
) -> None:
    _, _, target, (_, precision) = case
    graph = Graph(target)
    checked = 0
    for node in quantized_nodes(graph.model):
        assert graph.scale(node, 0).size == 1
        quantizer = graph.quantizer(node, 1)
        if quantizer.input[0] not in graph.constants:  # a product of two activations, as in attention
            assert graph.scale(node, 1).size == 1
            continue
        weights, scale = graph.array(quantizer.input[0]).astype(np.float32), graph.scale(node, 1).astype(np.float32)
        axis = {attribute.name: attribute.i for attribute in quantizer.attribute}["axis"] % weights.ndim
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        assert axis == (0 if node.op_type == "Conv" or transposed else 1)
        largest = np.abs(weights).max(axis=tuple(i for i in range(weights.ndim) if i != axis))
        np.testing.assert_allclose(largest / scale, {"int8": 127, "fp8": 36}[precision], rtol=5e-3)
        checked += 1
    assert checked >= 9


def test_the_rest_is_in_float16_and_inputs_and_outputs_keep_their_types(case: Case) -> None:
    _, source, target, _ = case
    graph = Graph(target)
    assert all(graph.scale(node, 0).dtype == np.float16 for node in quantized_nodes(graph.model))
    graph.onnx.checker.check_model(target, full_check=True)
    old, new = Graph(source).model.graph, graph.model.graph
    signatures = [[(value.name, value.type) for value in (*g.input, *g.output)] for g in (old, new)]
    assert signatures[0] == signatures[1]


def test_answers_are_near_those_of_float32(case: Case) -> None:
    """Limits: 1.5 times the relative errors that were seen: 0.017 and 0.031 (glyphs), 0.071 (vit)."""
    workload, source, target, (name, precision) = case
    evaluation = workload.evaluation()
    expected, found = run(source, evaluation.inputs), run(target, evaluation.inputs)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    limit = {"glyphs-int8": 0.025, "glyphs-fp8": 0.047, "vit-int8": 0.106}[f"{name}-{precision}"]
    assert limit / 10 < error < limit  # none at all would mean that nothing was quantised
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.mean() > 0.99
    assert np.mean(found.argmax(1) == expected.argmax(1)) > 0.9
    if name == "glyphs":
        right = [(answers.argmax(1) == evaluation.labels) for answers in (expected, found)]
        assert abs(right[0].mean() - right[1].mean()) < 0.01


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_every_batch_size_runs(case: Case, batch_size: int) -> None:
    workload, source, target, _ = case
    inputs = workload.inputs(batch_size, seed=1)
    expected, found = run(source, inputs), run(target, inputs)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.linalg.norm(found - expected) < 0.2 * np.linalg.norm(expected)


def test_scales_come_from_the_workloads_calibration_batches(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The largest magnitude, here a negative number in the second batch of three, becomes 127."""
    largest = 50.0
    source = write_product(tmp_path / "user" / "model.onnx", 32)
    before = source.read_bytes(), source.stat().st_mtime_ns
    target = tmp_path / "int8.onnx"
    quantize(source, target, UserFile(source, largest), "int8", "fp32")
    graph = Graph(target)
    (node,) = quantized_nodes(graph.model)
    np.testing.assert_allclose(graph.scale(node, 0), largest / 127, rtol=1e-5)
    assert not any(tensor.data_type == graph.onnx.TensorProto.FLOAT16 for tensor in graph.constants.values())
    assert capfd.readouterr().out == ""
    assert [path.name for path in source.parent.iterdir()] == ["model.onnx"]
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8.onnx", "user"]


def test_weights_beside_the_graph_are_read_and_written_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    inside = write_product(tmp_path / "user" / "model.onnx", 32)
    source = inside.with_name("beside.onnx")
    monkeypatch.setattr(onnx_fp16, "PROTOBUF_LIMIT_BYTES", 1000)
    onnx_fp16.save(onnx.load(inside), source)
    target = tmp_path / "fp8.onnx"
    quantize(source, target, UserFile(source), "fp8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fp8.onnx", "fp8.onnx.data", "user"]
    inputs = UserFile(source).inputs(4, seed=9)
    np.testing.assert_allclose(run(target, inputs), run(inside, inputs), atol=0.5)
    with pytest.raises(ValueError, match="quantised already"):
        quantize(target, tmp_path / "again.onnx", UserFile(target), "int8")


def test_a_graph_that_is_too_small_for_8_bit_kernels_is_refused_in_words(tmp_path: Path) -> None:
    source = write_product(tmp_path / "user" / "model.onnx", 32, outputs=8)
    with pytest.raises(ValueError, match="nothing was quantised: of the graph's 1 convolutions and matrix products"):
        quantize(source, tmp_path / "int8.onnx", UserFile(source), "int8")
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


def test_a_graph_of_foreign_operators_is_refused_in_words(tmp_path: Path) -> None:
    import onnx

    source = write_product(tmp_path / "user" / "model.onnx", 32)
    model = onnx.load(source)
    model.graph.node[0].op_type, model.graph.node[0].domain = "FusedMatMul", "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, source)
    with pytest.raises(ValueError, match="the graph has operators that are not ONNX's own: FusedMatMul"):
        quantize(source, tmp_path / "int8.onnx", UserFile(source), "int8")


def test_scales_that_float16_cannot_hold_are_refused_in_words(tmp_path: Path) -> None:
    source = write_product(tmp_path / "user" / "model.onnx", 32)
    with pytest.raises(RuntimeError, match="fp16 cannot hold 1 of the graph's scales, such as "):
        quantize(source, tmp_path / "fp8.onnx", UserFile(source, largest=60_000.0), "fp8", "fp16")


def write_product(path: Path, inputs: int, outputs: int | None = None) -> Path:
    """A graph of one matrix product whose node has no name, and whose input is called `file`."""
    from onnx import TensorProto, helper, numpy_helper, save

    outputs = outputs or inputs
    weights = np.random.default_rng(0).standard_normal((inputs, outputs)).astype(np.float32)
    node = helper.make_node("MatMul", ["file", "w"], ["y"])
    x = helper.make_tensor_value_info("file", TensorProto.FLOAT, ["batch", inputs])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", outputs])
    graph = helper.make_graph([node], "user", [x], [y], [numpy_helper.from_array(weights, "w")])
    path.parent.mkdir(exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
