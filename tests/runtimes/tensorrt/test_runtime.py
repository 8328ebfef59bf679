"""What the TensorRT runtime does, in which order, with a pretended TensorRT and a pretended GPU: nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench import feasibility
from bench.contract import Device, Gpu, GpuAddress, Recipe, Slot
from bench.devices import host
from bench.devices.mig.layout import MigState
from bench.runtimes import cuda_slot, placed
from bench.runtimes.cuda_slot import CudaPlace
from bench.runtimes.tensorrt import api, candidates, execute, runtime
from bench.runtimes.tensorrt.choose import call_ms
from bench.runtimes.tensorrt.execute import load_engine
from bench.runtimes.tensorrt.runtime import TensorRT
from runtimes.tensorrt.pretended import Pretended
from workloads.glyphs import Glyphs

SLOT = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1")
BATCH = 3


class Stream:
    handle = 77
    green: object | None = None

    def wait(self) -> None:
        return


class Place(CudaPlace):
    """Memory that is the host's."""

    def put(self, value: Any) -> Any:
        return value

    def detail(self) -> dict[str, Any]:
        return {"device": "a GPU", "sm_count": 14}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> CudaPlace:
    made = Place(queue=Stream())  # type: ignore[arg-type]

    @contextmanager
    def on_slot(slot: Slot) -> Iterator[CudaPlace]:
        assert slot is SLOT
        yield made

    monkeypatch.setattr(runtime, "on_slot", on_slot)
    monkeypatch.setattr(execute, "CUDA_DEVICE", "cpu")
    return made


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    pretended = Pretended()
    monkeypatch.setitem(sys.modules, "tensorrt", pretended.module)
    monkeypatch.setattr(candidates.Candidates, "_source", lambda self: self.graphs / "model.onnx")
    monkeypatch.setattr(candidates, "converted", lambda source, target, workload, precision: target)
    return pretended


def build(folder: Path, **options: Any) -> Any:
    TensorRT(**options).build(Recipe(Glyphs()), folder, BATCH, SLOT)
    return json.loads((folder / "build.json").read_text())


def inputs(batch_size: int = BATCH) -> Any:
    return Glyphs().inputs(batch_size, seed=1)


# --- build ------------------------------------------------------------------------------------------------------


def test_build_writes_the_engine_and_how_it_came_about(trt: Pretended, place: CudaPlace, tmp_path: Path) -> None:
    told = build(tmp_path, precision="fp32", workspace_bytes=2**20, optimization_level=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build.json", "engine.plan"]  # and no graph
    assert (tmp_path / "engine.plan").read_bytes() == b"plan of fp32.onnx"
    assert all(told.pop(name) >= 0 for name in ("export_s", "graph_s", "parse_s", "build_s"))
    assert told == {
        "precision": "fp32", "tensorrt": "11.4.0.106", "gpu": "a GPU", "sm_count": 14, "engine_bytes": 17,
        "workspace_limit_bytes": 2**20, "device_memory_bytes": 4096,
    }  # fmt: skip
    assert trt.config.builder_optimization_level == 2
    assert trt.config.profiling_verbosity == "DETAILED"
    assert trt.config.profile_stream == Stream.handle
    assert not hasattr(trt.config, "max_aux_streams")
    shape = inputs()["image"].shape
    assert trt.calls == [
        "network ()", "parse", "clear TF32", "limit WORKSPACE 1048576", "timings b'' mismatch=False",
        f"shape image {shape} {shape} {shape}", "profile", "build", "deserialize plan of fp32.onnx",
    ]  # fmt: skip


def test_nothing_is_said_to_the_builder_that_nobody_asked_for(trt: Pretended, place: CudaPlace, tmp_path: Path) -> None:
    told = build(tmp_path, precision="fp16")
    assert told["workspace_limit_bytes"] == trt.DEFAULT_WORKSPACE_BYTES
    assert not hasattr(trt.config, "builder_optimization_level")
    assert not any(call.startswith("limit") for call in trt.calls)
    assert "candidates" not in told


def test_in_a_green_context_all_work_stays_on_its_stream(
    trt: Pretended, place: CudaPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.queue.green = object()  # type: ignore[misc,assignment]
    build(tmp_path, precision="fp16")
    assert trt.config.max_aux_streams == 0


@pytest.mark.parametrize(("version", "flags"), [("10.16.1.11", "(2,)"), ("11.4.0.106", "()")])
def test_networks_are_strongly_typed_in_every_version(
    trt: Pretended, place: CudaPlace, tmp_path: Path, version: str, flags: str
) -> None:
    trt.module.__version__ = version
    build(tmp_path, precision="fp16")
    assert trt.calls[0] == f"network {flags}"


def test_a_tensorrt_that_is_too_old_is_told(trt: Pretended, place: CudaPlace, tmp_path: Path) -> None:
    trt.module.__version__ = "10.3.0"
    with pytest.raises(RuntimeError, match=r"TensorRT 10\.3\.0 is installed, and 10\.16 or newer is needed"):
        build(tmp_path, precision="fp16")


def test_all_errors_of_the_parser_are_told(trt: Pretended, place: CudaPlace, tmp_path: Path) -> None:
    trt.parser_errors = [("Foo", "node_1", 1, "no plugin\nof this name"), ("", "", -1, "no opset")]
    with pytest.raises(RuntimeError) as caught:
        build(tmp_path, precision="fp16")
    assert "cannot parse fp16.onnx: Foo node 'node_1': no plugin of this name; the graph: no opset" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_build_is_told_in_tensorrts_own_words(
    trt: Pretended, place: CudaPlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trt.says, trt.unbuildable = [(1, "no kernel for\n Conv_3"), (2, "only a warning"), (3, "gossip")], True
    with pytest.raises(RuntimeError, match=r"cannot build fp16\.onnx: no kernel for Conv_3$"):
        build(tmp_path, precision="fp16")
    out, err = capsys.readouterr()
    assert out == ""  # a protocol's stream
    assert "only a warning" in err and "gossip" not in err


def test_a_graph_that_wants_another_input_is_told(trt: Pretended, place: CudaPlace, tmp_path: Path) -> None:
    trt.input_names = ["image", "mask"]
    with pytest.raises(RuntimeError, match="the graph wants an input 'mask', and the workload gives"):
        build(tmp_path, precision="fp16")


def test_best_keeps_the_fastest_and_tells_of_the_others(
    trt: Pretended, place: CudaPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(candidates, "call_ms", lambda call, stream: next(times))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    told = build(tmp_path, precision="best")
    assert told["precision"] == "int8"
    assert (tmp_path / "engine.plan").read_bytes() == b"plan of int8.onnx"
    assert {item["precision"]: item["call_ms"] for item in told["candidates"]} == {"fp16": 3.0, "int8": 1.0, "fp8": 2.0}
    timings = [call for call in trt.calls if call.startswith("timings")]
    assert timings[1] == "timings b'measured' mismatch=False"  # what was timed for one is not timed again


def test_best_goes_on_without_a_precision_that_the_model_cannot_have(
    trt: Pretended, place: CudaPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(source: Path, target: Path, workload: Any, precision: str) -> Path:
        if precision in refused:
            raise ValueError("nothing was quantised")
        return target

    refused = {"int8", "fp8"}
    monkeypatch.setattr(candidates, "converted", convert)
    monkeypatch.setattr(candidates, "call_ms", lambda call, stream: 1.0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    told = build(tmp_path, precision="best")
    assert told["precision"] == "fp16"
    assert told["failed"] == {"int8": "nothing was quantised", "fp8": "nothing was quantised"}
    refused.add("fp16")
    with pytest.raises(RuntimeError, match="fp16: nothing was quantised; int8: nothing was quantised"):
        build(tmp_path, precision="best")


def test_best_leaves_fp8_to_gpus_that_have_it(
    trt: Pretended, place: CudaPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "call_ms", lambda call, stream: 1.0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    assert [item["precision"] for item in build(tmp_path, precision="best")["candidates"]] == ["fp16", "int8"]


def test_a_call_is_timed_by_events_around_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10**12, 10**8))
    monkeypatch.setattr("bench.runtimes.tensorrt.choose.clock.now_ns", lambda: next(now))
    elapsed = iter([50.0, 20.0, 30.0] * 10)
    order: list[str] = []
    event = SimpleNamespace(
        record=lambda: order.append("record"), synchronize=lambda: None, elapsed_time=lambda end: next(elapsed)
    )
    stream: Any = SimpleNamespace(event=lambda: event, wait=lambda: order.append("wait"))
    assert call_ms(lambda: order.append("call"), stream) in (2.0, 3.0, 5.0)
    assert order[:2] == ["call", "wait"]
    first = order.index("record")
    assert order[first : first + 12] == ["record", *["call"] * 10, "record"]


# --- load, bind, prove ------------------------------------------------------------------------------------------


def test_a_call_executes_on_the_stream_and_gives_what_the_engine_wrote(trt: Pretended, place: CudaPlace) -> None:
    loaded = load_engine(b"a plan", place)
    given = inputs()
    call = loaded.bind(given)
    before = len(trt.calls)
    result = call()
    assert trt.calls[before:] == [f"execute {Stream.handle}"]  # nothing else is part of a request
    context = trt.contexts[-1]
    assert context.addresses["output"] == result.data_ptr()
    assert context.shapes == {"image": given["image"].shape}
    assert loaded.outputs(result).dtype == np.float32 and loaded.outputs(result).shape == (BATCH, 5)


def test_a_context_has_prepared_itself_before_the_first_request(trt: Pretended, place: CudaPlace) -> None:
    load_engine(b"a plan", place).bind(inputs())
    assert trt.calls[-1] == f"execute {Stream.handle}"


def test_bound_inputs_have_contexts_of_their_own_and_share_their_activations(trt: Pretended, place: CudaPlace) -> None:
    loaded = load_engine(b"a plan", place)
    calls = [loaded.bind(inputs()) for _ in range(3)]
    addresses = [context.addresses for context in trt.contexts]
    assert len({item["image"] for item in addresses}) == len({item["output"] for item in addresses}) == len(calls)
    assert {context.memory for context in trt.contexts} == {(loaded.scratch.data_ptr(), 4096)}


def test_the_context_of_a_call_that_is_gone_serves_the_next_input(trt: Pretended, place: CudaPlace) -> None:
    loaded = load_engine(b"a plan", place)
    kept = loaded.bind(inputs())
    for _ in range(5):
        given = inputs()
        result = loaded.bind(given)()  # as evaluation does
    assert len(trt.contexts) == 2
    assert trt.contexts[1].addresses == {"image": trt.contexts[1].addresses["image"], "output": result.data_ptr()}
    assert trt.contexts[0].addresses["output"] == kept().data_ptr(), "one that is in use is left alone"
    assert trt.calls.count(f"execute {Stream.handle}") == 2 + 5 + 1, "only a new context prepares itself"


def test_a_request_that_was_not_queued_is_an_error(trt: Pretended, place: CudaPlace) -> None:
    loaded = load_engine(b"a plan", place)
    call = loaded.bind(inputs())
    trt.executes = False
    with pytest.raises(RuntimeError, match="could not queue a request"):
        call()
    with pytest.raises(RuntimeError, match="could not queue a request"):
        loaded.bind(inputs())


def test_another_batch_size_than_the_engines_is_an_error(trt: Pretended, place: CudaPlace) -> None:
    loaded = load_engine(b"a plan", place)
    trt.takes = BATCH
    with pytest.raises(RuntimeError, match=r"built for another shape of 'image' than \(4,"):
        loaded.bind(inputs(4))


def test_transfers_go_to_the_memory_that_the_engine_reads(
    trt: Pretended, place: CudaPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    monkeypatch.setattr(placed, "between_copies", lambda sources, targets, call: copied.append(targets) or call)
    load_engine(b"a plan", place).bind_with_transfers(inputs())
    assert trt.contexts[-1].addresses["image"] == copied[0]["image"].data_ptr()


def test_inputs_take_the_engines_types(trt: Pretended, place: CudaPlace) -> None:
    trt.dtype = "HALF"
    tensors = load_engine(b"a plan", place).host_tensors(inputs())
    assert tensors["image"].dtype == torch.float16


@pytest.mark.parametrize("content", [b"plan of fp16.on", b""])
def test_a_truncated_engine_is_told_and_never_shown_to_tensorrt(
    trt: Pretended, place: CudaPlace, tmp_path: Path, content: bytes
) -> None:
    build(tmp_path, precision="fp16")
    (tmp_path / "engine.plan").write_bytes(content)
    trt.calls.clear()
    with (
        pytest.raises(RuntimeError, match=f"was cut: it has {len(content)} of 17 bytes"),
        TensorRT(precision="fp16").load(Recipe(Glyphs()), tmp_path, SLOT),
    ):
        pass
    assert trt.calls == []


def test_a_missing_engine_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="no engine in"),
        TensorRT(precision="fp16").load(Recipe(Glyphs()), tmp_path, SLOT),
    ):
        pass


def test_a_foreign_engine_is_told(trt: Pretended, place: CudaPlace, tmp_path: Path) -> None:
    build(tmp_path, precision="fp16")
    trt.refuses, trt.says = True, [(1, "built for compute capability 8.0")]
    with (
        pytest.raises(RuntimeError, match=r"11\.4\.0\.106 cannot load this engine: built for compute capability 8\.0"),
        TensorRT(precision="fp16").load(Recipe(Glyphs()), tmp_path, SLOT),
    ):
        pass


def test_the_proof_is_the_engines_own_and_says_where(trt: Pretended, place: CudaPlace, tmp_path: Path) -> None:
    build(tmp_path, precision="int8")
    trt.layers = (Path(__file__).parent / "layers" / "recorded_int8.json").read_text()
    with TensorRT(precision="int8").load(Recipe(Glyphs()), tmp_path, SLOT) as loaded:
        proof = loaded.prove(inputs())
    assert proof.precision == "int8"
    assert (proof.detail["device"], proof.detail["tensorrt"]) == ("a GPU", "11.4.0.106")
    assert trt.calls[-2:] == [f"execute {Stream.handle}", "inspect JSON"]


# --- conductor --------------------------------------------------------------------------------------------------


def gpu(capability: tuple[int, int]) -> Device:
    told = Gpu(GpuAddress("GPU-1"), "0", 0, "a GPU", "", capability, 80, "none", "", 0, (), MigState(None))
    return Device(kind="cuda", name="a GPU", cpus=(0,), memory_bytes=2**30, gpu=told)


@pytest.mark.parametrize(
    ("precision", "capability", "reason"),
    [
        ("fp32", (7, 0), "TensorRT needs compute capability 7.5, and a GPU has 7.0"),
        ("best", (7, 0), "TensorRT needs compute capability 7.5, and a GPU has 7.0"),
        ("fp8", (8, 6), "FP8 in TensorRT needs compute capability 8.9, and a GPU has 8.6"),
        ("fp8", (8, 9), None),
        ("int8", (7, 5), None),
        ("best", (8, 0), None),
    ],
)
def test_what_a_gpu_cannot_do_is_infeasible(
    monkeypatch: pytest.MonkeyPatch, precision: Any, capability: tuple[int, int], reason: str | None
) -> None:
    monkeypatch.setattr(feasibility, "torch_infeasible", lambda device: None)
    monkeypatch.setattr(feasibility, "importable", lambda name: True)
    assert TensorRT(precision=precision).infeasible(Glyphs(), gpu(capability)) == reason


def test_what_making_graphs_needs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feasibility, "torch_infeasible", lambda device: None)
    monkeypatch.setattr(feasibility, "importable", lambda name: name != "modelopt")
    assert TensorRT(precision="fp32").infeasible(Glyphs(), gpu((9, 0))) is None
    for precision in ("fp16", "int8", "fp8", "best"):
        reason = TensorRT(precision=precision).infeasible(Glyphs(), gpu((9, 0)))
        assert reason == "building its engine needs nvidia-modelopt, which is not installed"


def test_neither_a_cpu_nor_a_rehearsed_gpu_executes_it() -> None:
    assert TensorRT(precision="fp16").infeasible(Glyphs(), host.cpu_device()) == (
        "TensorRT needs an NVIDIA GPU, and this device is a CPU"
    )
    rehearsed = replace(gpu((9, 0)), rehearsal=True)
    assert TensorRT(precision="fp16").infeasible(Glyphs(), rehearsed) == (
        "TensorRT executes on a GPU, and this one is only rehearsed"
    )


def test_a_slot_without_a_gpu_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="this slot has none"):
        runtime.cuda(cuda_slot.Place())


def test_the_conductor_imports_none_of_it() -> None:
    code = (
        "import sys, bench.runtimes.tensorrt.runtime as r; r.TensorRT(precision='best');"
        "print(sorted({'tensorrt', 'torch', 'onnx', 'modelopt', 'tensorrt_bindings'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_versions_are_compared_as_numbers() -> None:
    assert api.numbers("10.9.0.34") < api.OLDEST <= api.numbers("10.16.1.11") < api.numbers("11.4.0.106")
