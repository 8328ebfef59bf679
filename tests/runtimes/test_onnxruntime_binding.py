"""Memory that is bound: for real on the CPU, and with a stand-in for a GPU that tells what it was asked."""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench.contract import Recipe, Slot
from bench.runtimes import placed
from bench.runtimes.cuda_slot import Place
from bench.runtimes.onnx import binding as onnx_binding
from bench.runtimes.onnx.binding import DO_NOT_WAIT, TYPES, BoundLoaded
from bench.runtimes.onnx.session import CPU, open_session
from bench.runtimes.onnxruntime import OnnxRuntime
from bench.runtimes.onnxruntime_gpu import CUDA
from tests.runtimes.onnxruntime_pretended import UserFile, pretended_place, user_file

SLOT = Slot(index=0, threads=1)


@pytest.fixture
def workload(tmp_path: Path) -> UserFile:
    return user_file(tmp_path)


def one_node(path: Path, type_number: int) -> Path:
    from onnx import helper, save

    tensors = [helper.make_tensor_value_info(name, type_number, ["batch", 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "one", tensors[:1], tensors[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def bound_on_the_cpu(path: Path) -> BoundLoaded:
    new_session = partial(open_session, path, {CPU: {}}, 1)
    return BoundLoaded(new_session(), new_session, Place(), CPU, {})


def test_bound_memory_gives_what_the_plain_runtime_gives(workload: UserFile) -> None:
    bound = bound_on_the_cpu(workload.path)
    with OnnxRuntime().load(Recipe(workload), workload.path.parent, SLOT) as plain:
        for batch_size in (4, 1):
            inputs = workload.inputs(batch_size, seed=batch_size)
            expected = plain.outputs(plain.bind(inputs)())
            call = bound.bind(inputs)
            assert np.array_equal(bound.outputs(call()), expected)
            assert np.array_equal(bound.outputs(call()), expected)


def test_results_are_written_to_the_same_memory_each_time(workload: UserFile) -> None:
    bound = bound_on_the_cpu(workload.path)
    call = bound.bind(workload.inputs(2, seed=0))
    first = call()
    expected = first.clone()
    first.zero_()
    assert call() is first and torch.equal(first, expected)


def test_calls_on_different_inputs_do_not_share_memory(workload: UserFile) -> None:
    bound = bound_on_the_cpu(workload.path)
    calls = [bound.bind(workload.inputs(2, seed=seed)) for seed in range(3)]
    together = [call().clone() for call in calls]
    assert not torch.equal(together[0], together[1])
    assert all(torch.equal(call(), result) for call, result in zip(calls, together, strict=True))


def test_the_proof_is_of_one_run(workload: UserFile) -> None:
    proof = bound_on_the_cpu(workload.path).prove(workload.inputs(2, seed=0))
    assert (proof.precision, proof.operators) == ("fp32", {"fp32": 2})


def test_on_a_cpu_there_is_nothing_to_transfer(workload: UserFile) -> None:
    bound = bound_on_the_cpu(workload.path)
    inputs = workload.inputs(2, seed=0)
    assert bound.stream is None
    assert torch.equal(bound.bind_with_transfers(inputs)(), bound.bind(inputs)())


class WatchedPlace(Place):
    """The CPU, which keeps an eye on what was put there."""

    def __init__(self) -> None:
        self.seen: list[weakref.ref[Any]] = []

    def put(self, value: Any) -> Any:
        self.seen.append(weakref.ref(value))
        return value


def test_all_memory_that_is_bound_lives_as_long_as_the_call(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xyz"]
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["z"])]
    graph = helper.make_graph(nodes, "two outputs", tensors[:1], tensors[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "two.onnx")
    place = WatchedPlace()
    new_session = partial(open_session, tmp_path / "two.onnx", {CPU: {}}, 1)
    call = BoundLoaded(new_session(), new_session, place, CUDA, {}).bind({"x": np.ones((2, 3), np.float32)})
    assert [seen() is not None for seen in place.seen] == [True, True, True]
    assert call().tolist() == [[-1.0] * 3] * 2
    del call
    assert [seen() is not None for seen in place.seen] == [False, False, False]


@pytest.mark.parametrize("told", TYPES)
def test_types_are_called_as_onnx_runtime_calls_them(told: str, tmp_path: Path) -> None:
    name, number = TYPES[told]
    bound = bound_on_the_cpu(one_node(tmp_path / "one.onnx", number))
    assert [node.type for node in bound.session.get_inputs()] == [told]
    result = bound.bind({"x": np.array([[0, 1, 2]], np.float64)})()
    assert result.dtype == getattr(torch, name)
    assert bound.outputs(result).tolist() == [[0, 1, 1 if name == "bool" else 2]]


def test_the_run_option_is_one_that_onnx_runtime_takes() -> None:
    assert onnx_binding._run_options().get_run_config_entry(DO_NOT_WAIT[0]) == "1"


class PretendedSession:
    """Takes one float16 input, and gives an output of (2, 5)."""

    def __init__(self, done: list[Any]) -> None:
        self.done = done

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x", type="tensor(float16)")]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="y")]

    def io_binding(self) -> Any:
        made = SimpleNamespace(shape=lambda: [2, 5], data_type=lambda: "tensor(float)")
        return SimpleNamespace(
            bind_input=lambda *arguments: self.done.append(("input", *arguments)),
            bind_output=lambda *arguments: self.done.append(("output", *arguments)),
            get_outputs=lambda: [made],
        )

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.done.append(("run", options.get_run_config_entry(DO_NOT_WAIT[0])))


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> BoundLoaded:
    place, done = pretended_place(monkeypatch)
    session = PretendedSession(done)
    return BoundLoaded(session, lambda **_: session, place, CUDA, {})


def test_a_call_only_queues_and_its_memory_was_bound_before(pretended: BoundLoaded) -> None:
    done = pretended.session.done
    call = pretended.bind({"x": np.ones((2, 3), np.float32)})
    kinds = [entry[0] if isinstance(entry, tuple) else entry for entry in done]
    assert kinds == ["input", "output", "run", "wait", "output"]
    assert done[0][1:6] == ("x", "cuda", 0, TYPES["tensor(float16)"][1], (2, 3))
    assert done[1] == ("output", "y", "cuda", 0)
    result = call()
    assert done[5:] == [("run", "1")]
    assert done[4] == ("output", "y", "cuda", 0, TYPES["tensor(float)"][1], (2, 5), result.data_ptr())


def test_transfers_go_through_page_locked_memory(pretended: BoundLoaded, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Any] = []
    copied: list[Any] = []

    def pin(tensor: Any) -> Any:
        pinned.append(tensor)
        return tensor

    def copies(sources: Any, targets: Any, call: Any) -> Any:
        copied.append((sources, targets))
        return call

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(placed, "between_copies", copies)
    pretended.bind_with_transfers({"x": np.ones((2, 3), np.float32)})()
    assert len(pinned) == 1 and [set(tensors) for tensors in copied[0]] == [{"x"}, {"x"}]
    assert pretended.session.done[-1] == ("run", "1")
