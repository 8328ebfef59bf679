"""Graphs in int8 and fp8: what is around each heavy operator, where the scales come from, and what the answers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from bench.contract import Array, Arrays, Evaluation, OnnxFile, Workload, plugin
from bench.runtimes.onnx import modelopt, quantize_gpu
from bench.runtimes.onnx.quantize_gpu import HEAVY, quantize, quantized_nodes

from .onnx_graphs import WORKLOADS, needs_modelopt, run, write_foreign, write_product

pytestmark = needs_modelopt
Precision = Literal["int8", "fp8"]


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


Case = tuple[str, Precision, Path, Path]
"""The name of a workload, a precision, the graph in float32, and the quantised one (the rest in float16)."""
CASES: tuple[tuple[str, Precision], ...] = (("glyphs", "int8"), ("glyphs", "fp8"), ("vit", "int8"))


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(
    request: pytest.FixtureRequest, exported: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Case:
    name, precision = request.param
    source = exported(name)
    target = tmp_path_factory.mktemp(name) / "quantized.onnx"
    quantize(source, target, WORKLOADS[name], precision)
    return name, precision, source, target


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
    _, precision, source, target = case
    graph, count = Graph(target), len(Graph(source).heavy)
    left = [node for node in graph.heavy if node not in quantized_nodes(graph.model)]
    assert len(graph.heavy) == count
    assert [node.op_type for node in left] == (["Conv"] if precision == "fp8" else [])
    assert all(graph.array(node.input[1]).shape[1] <= 3 for node in left)


def test_zero_points_are_zero_and_of_the_type_asked_for(case: Case) -> None:
    _, precision, _, target = case
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


def test_weights_have_a_scale_per_output_channel_and_activations_one(case: Case) -> None:
    _, precision, _, target = case
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
    _, _, source, target = case
    graph = Graph(target)
    assert all(graph.scale(node, 0).dtype == np.float16 for node in quantized_nodes(graph.model))
    graph.onnx.checker.check_model(target, full_check=True)
    old, new = Graph(source).model.graph, graph.model.graph
    signatures = [[(value.name, value.type) for value in (*g.input, *g.output)] for g in (old, new)]
    assert signatures[0] == signatures[1]


def test_answers_are_near_those_of_float32(case: Case, expected: Callable[[str], tuple[Evaluation, Array]]) -> None:
    """Limits: 1.5 times the relative errors that were seen: 0.017 and 0.031 (glyphs), 0.071 (vit)."""
    name, precision, _, target = case
    evaluation, wanted = expected(name)
    found = run(target, evaluation.inputs)
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    limit = {"glyphs-int8": 0.025, "glyphs-fp8": 0.047, "vit-int8": 0.106}[f"{name}-{precision}"]
    assert limit / 10 < error < limit  # none at all would mean that nothing was quantised
    cosines = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.mean() > 0.99
    assert np.mean(found.argmax(1) == wanted.argmax(1)) > 0.9
    if name == "glyphs":
        right = [(answers.argmax(1) == evaluation.labels) for answers in (wanted, found)]
        assert abs(right[0].mean() - right[1].mean()) < 0.01


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_every_batch_size_runs(case: Case, batch_size: int) -> None:
    name, _, source, target = case
    inputs = WORKLOADS[name].inputs(batch_size, seed=1)
    wanted, found = run(source, inputs), run(target, inputs)
    assert found.shape == wanted.shape and found.dtype == np.float32
    assert np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)


def test_scales_come_from_the_workloads_calibration_batches_and_large_weights_lie_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The largest magnitude, here a negative number in the second batch of three, becomes 127."""
    import onnx

    largest = 5.0
    inside, source = write_product(tmp_path / "inside.onnx"), tmp_path / "user" / "beside.onnx"
    source.parent.mkdir()
    monkeypatch.setattr(modelopt, "PROTOBUF_LIMIT_BYTES", 1000)
    modelopt.save(onnx.load(inside), source)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.parent.iterdir()}
    target = tmp_path / "built" / "int8.onnx"
    target.parent.mkdir()
    quantize(source, target, UserFile(source, largest), "int8")
    graph = Graph(target)
    (node,) = quantized_nodes(graph.model)
    np.testing.assert_allclose(graph.scale(node, 0), largest / 127, rtol=2**-11)  # as float16 rounds
    inputs = UserFile(source).inputs(4, seed=9)
    np.testing.assert_allclose(run(target, inputs), run(inside, inputs), atol=0.5)
    assert capfd.readouterr().out == ""
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.parent.iterdir()} == before
    assert sorted(path.name for path in target.parent.iterdir()) == ["int8.onnx", "int8.onnx.data"]
    with pytest.raises(ValueError, match="quantised already"):
        quantize(target, tmp_path / "again.onnx", UserFile(target), "int8")


def test_a_graph_of_foreign_operators_is_refused_in_words(tmp_path: Path) -> None:
    source = write_foreign(tmp_path / "user" / "model.onnx")
    with pytest.raises(ValueError, match="the graph has operators that are not ONNX's own: FusedMatMul"):
        quantize(source, tmp_path / "int8.onnx", UserFile(source), "int8")


# --- what modelopt made is looked at: here graphs written by hand ------------------------------------------------


def product(*quantized: str, scale: float = 0.5) -> Any:
    """A product of `a` and `b`, of which some have been through 8 bits, with a scale that float16 holds."""
    from onnx import TensorProto, helper, numpy_helper

    with np.errstate(over="ignore"):
        constants = [numpy_helper.from_array(np.array(scale, np.float16), f"{name}_scale") for name in quantized]
    nodes = []
    for name in quantized:
        nodes.append(helper.make_node("QuantizeLinear", [name, f"{name}_scale"], [f"{name}_8"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_8", f"{name}_scale"], [f"{name}_back"]))
    operands = [f"{name}_back" if name in quantized else name for name in "ab"]
    nodes.append(helper.make_node("MatMul", operands, ["y"], name="product"))
    a, b, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT16, [8, 8]) for name in "aby")
    return helper.make_model(helper.make_graph(nodes, "made", [a, b], [y], constants))


@pytest.fixture
def quantize_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """`quantize`, where modelopt makes this graph."""

    def quantizing(made: Any) -> None:
        import onnx

        source = write_product(tmp_path / "user" / "model.onnx")
        monkeypatch.setattr(
            quantize_gpu, "run_modelopt", lambda module, paths, scratch: onnx.save(made, paths[0] / "made.onnx")
        )
        quantize(source, tmp_path / "int8.onnx", UserFile(source), "int8")

    return quantizing


@pytest.mark.parametrize("quantized", ["", "a", "b", "ab"])
def test_a_product_is_quantised_if_both_its_operands_are(quantized: str) -> None:
    assert [node.name for node in quantized_nodes(product(*quantized))] == (["product"] if quantized == "ab" else [])


@pytest.mark.parametrize("quantized", ["", "a", "b"])
def test_a_graph_of_which_nothing_was_quantised_is_refused_in_words(
    quantized: str, quantize_as: Callable[[Any], None], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="nothing was quantised: of the graph's 1 convolutions and matrix products"):
        quantize_as(product(*quantized))
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e6, float("nan")])  # 1e-9 becomes 0 in float16, 1e6 infinite
def test_scales_that_float16_cannot_hold_are_refused_in_words(
    scale: float, quantize_as: Callable[[Any], None], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="float16 cannot hold 2 of the graph's scales, such as a_scale"):
        quantize_as(product("a", "b", scale=scale))
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


def test_a_sound_graph_is_taken(quantize_as: Callable[[Any], None], tmp_path: Path) -> None:
    quantize_as(product("a", "b"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8.onnx", "user"]
