"""CUDA graphs: what torch is asked for, and in which order, on a pretended GPU; and that the real torch takes it."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optimizations.specimens import Sequences

from bench.contract import Recipe, Slot
from bench.runtimes import torch_cuda_graph
from bench.runtimes.torch import replay as torch_replay
from bench.runtimes.torch_cuda_graph import WARM_UP_CALLS, GraphLoaded, TorchCudaGraph

from .made_up_traces import Made
from .pretended_graphs import PretendedCuda, PretendedPlace

ON_CUDA = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1")
WORKLOAD = Sequences()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> PretendedCuda:
    return PretendedCuda(monkeypatch)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> PretendedPlace:
    made = PretendedPlace()
    monkeypatch.setattr(torch_cuda_graph, "on_slot", made.on_slot)
    return made


@pytest.fixture
def loaded(cuda: PretendedCuda, place: PretendedPlace) -> Iterator[GraphLoaded]:
    with TorchCudaGraph().load(Recipe(WORKLOAD), Path("unused"), ON_CUDA) as result:
        assert isinstance(result, GraphLoaded)
        yield result


def test_each_input_is_recorded_once_on_the_slots_stream_in_one_pool(loaded: GraphLoaded, cuda: PretendedCuda) -> None:
    calls = [loaded.bind(WORKLOAD.inputs(4, seed)) for seed in (1, 2)]
    for call in calls * 3:
        call()
    assert cuda.recorded == [{"pool": "the pool", "stream": "the slot's stream"}] * 2


def test_a_replay_answers_as_eager_does(loaded: GraphLoaded) -> None:
    inputs = WORKLOAD.inputs(4, seed=1)
    wanted = loaded.outputs(loaded.plain(**loaded.form.tensors(inputs)))
    call = loaded.bind(inputs)
    loaded.bind(WORKLOAD.inputs(4, seed=2))()
    np.testing.assert_allclose(loaded.outputs(call()), wanted, rtol=1e-5, atol=1e-6)


def test_a_replay_reads_its_inputs_anew_and_writes_into_the_same_result(loaded: GraphLoaded) -> None:
    first, second = (loaded.form.tensors(WORKLOAD.inputs(4, seed)) for seed in (1, 2))
    wanted = loaded.outputs(loaded.function(**second))
    call = loaded.call_on(first)
    result = call()
    first["sequence"].copy_(second["sequence"])  # as transfers do
    assert call() is result
    np.testing.assert_allclose(loaded.outputs(result), wanted, rtol=1e-5, atol=1e-6)


def test_the_memory_of_its_inputs_lives_as_long_as_a_call(loaded: GraphLoaded) -> None:
    tensors = loaded.form.tensors(WORKLOAD.inputs(4, seed=1))
    address = tensors["sequence"].data_ptr()
    call: Any = loaded.call_on(tensors)
    del tensors
    gc.collect()
    assert call.inputs["sequence"].data_ptr() == address


def test_libraries_are_warmed_up_before_the_recording(cuda: PretendedCuda, place: PretendedPlace) -> None:
    order: list[str] = []

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            order.append(f"call, {len(cuda.recorded)} recorded")
            return x * self.weight

    form = torch_cuda_graph.InputForm()
    model = Model()
    loaded = GraphLoaded(model, form, True, {}, place=place, plain=model, pool="p")
    loaded.bind({"x": np.ones((2, 2), np.float32)})
    assert order == ["call, 0 recorded"] * WARM_UP_CALLS + ["call, 1 recorded"]


def test_a_model_that_cannot_be_recorded_says_so(loaded: GraphLoaded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    with pytest.raises(RuntimeError, match="this model cannot be recorded in a CUDA graph: operation not permitted"):
        loaded.bind(WORKLOAD.inputs(4, seed=1))


def test_the_proof_is_of_the_replay_and_the_plain_call_explains_it(
    loaded: GraphLoaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    gemv = "internal::gemvx::kernel<int, int, float, float>"
    traces = [Made().operator("aten::addmm", "float", [gemv]).trace, Made().replay([gemv, gemv]).trace]
    calls: list[Any] = []
    monkeypatch.setattr(torch_replay, "profiled", lambda call: calls.append(call) or traces[len(calls) - 1])
    proof = loaded.prove(WORKLOAD.inputs(4, seed=1))
    assert calls[0].func is loaded.plain
    assert isinstance(calls[1], torch_cuda_graph.Replay)
    assert (proof.precision, proof.operators) == ("fp32", {"fp32": 2})
    assert proof.detail["device"] == "pretended"


def test_model_and_inputs_go_to_the_gpu(loaded: GraphLoaded, place: PretendedPlace) -> None:
    loaded.bind(WORKLOAD.inputs(4, seed=1))
    assert place.put_there == ["model", "tensor"]
    assert place.fp32_precision == "ieee"


def test_the_real_torch_has_graphs_as_they_are_asked_for() -> None:
    inspect.signature(torch.cuda.graph).bind("graph", pool="pool", stream="stream")
    inspect.signature(torch.cuda.CUDAGraph).bind()
    inspect.signature(torch.cuda.CUDAGraph.replay).bind("graph")
    inspect.signature(torch.cuda.graph_pool_handle).bind()
