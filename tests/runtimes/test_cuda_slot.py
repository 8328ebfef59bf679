"""Torch on a GPU, as far as it can be checked without one: arithmetic, names and signatures of the real packages, and
what is done in which order, with stand-ins for the calls that need a driver."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.cuda.green_contexts import GreenContext

from bench.contract import Device, Recipe, Slot
from bench.devices import host
from bench.feasibility import needs_cuda
from bench.runtimes import cuda_slot, green_context
from bench.runtimes.cuda_slot import CudaPlace, CudaStream, Place, on_slot
from bench.runtimes.green_context import SmResource, green_sms
from bench.runtimes.onnxruntime import OnnxRuntime
from bench.runtimes.placed import between_copies
from bench.runtimes.python_call import PythonCall
from bench.runtimes.torch_eager import TorchEager
from workloads.glyphs import Glyphs

ON_CUDA = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1")
ROUNDING = 1e-6
H200 = SmResource(count=132, minimum=8, alignment=8)


def gpu(rehearsal: bool = False) -> Device:
    return Device(kind="cuda", name="a GPU", cpus=(0, 1), memory_bytes=2**30, rehearsal=rehearsal, host="a CPU")


# --- how many multiprocessors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "total", "minimum", "alignment", "count"),
    [
        (1 / 7, 132, 8, 8, 16),  # H200: as a 1g slice has
        (1 / 3, 132, 8, 8, 40),
        (1.0, 132, 8, 8, 128),
        (1 / 7, 108, 4, 2, 14),  # A100
        (0.5, 108, 4, 2, 54),
        (4 / 56, 56, 4, 2, 4),  # A30, the least there is
        (1.0, 108, 4, 2, 108),
    ],
)
def test_shares_are_rounded_down_to_what_can_be_divided(
    share: float, total: int, minimum: int, alignment: int, count: int
) -> None:
    assert green_sms(share, total, minimum, alignment) == count


def test_less_than_the_smallest_part_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"0\.05 of 132 multiprocessors is less than the 8"):
        green_sms(0.05, 132, 8, 8)


@given(st.floats(0.01, 1), st.integers(8, 200), st.sampled_from([1, 2, 4, 8]), st.integers(1, 3))
def test_never_more_than_was_asked_for_and_as_much_as_fits(
    share: float, total: int, alignment: int, least: int
) -> None:
    minimum = least * alignment
    try:
        count = green_sms(share, total, minimum, alignment)
    except ValueError:
        assert share * total < minimum
        return
    assert count % alignment == 0
    assert minimum <= count
    assert count - ROUNDING <= share * total < count + alignment


@given(st.integers(8, 200), st.sampled_from([1, 2, 4, 8]), st.data())
def test_a_share_that_is_some_multiprocessors_of_all_is_exactly_those(
    total: int, alignment: int, data: st.DataObject
) -> None:
    parts = data.draw(st.integers(1, total // alignment))
    assert green_sms(parts * alignment / total, total, alignment, alignment) == parts * alignment


# --- the real packages ------------------------------------------------------------------------------------------


def test_green_contexts_are_made_as_torch_wants_it() -> None:
    inspect.signature(GreenContext.create).bind(num_sms=16, device_id=0)
    for name in ("set_context", "pop_context", "Stream"):
        inspect.signature(getattr(GreenContext, name)).bind(None)


def test_streams_and_events_are_torchs() -> None:
    inspect.signature(torch.cuda.Event.__new__).bind(torch.cuda.Event, enable_timing=True)
    for name in ("record", "synchronize"):
        inspect.signature(getattr(torch.cuda.Event, name)).bind(None)
    inspect.signature(torch.cuda.Event.elapsed_time).bind(None, None)
    inspect.signature(torch.cuda.Stream.synchronize).bind(None)
    inspect.signature(torch.cuda.stream).bind(None)


def test_the_names_of_the_cuda_driver_are_those_of_cuda_bindings() -> None:
    driver = pytest.importorskip("cuda.bindings.driver")
    assert driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM.value == 1
    assert driver.CUresult.CUDA_SUCCESS == 0
    resource = driver.CUdevResource()
    for name in ("smCount", "minSmPartitionSize", "smCoscheduledAlignment"):
        assert isinstance(getattr(resource.sm, name), int)
    for name in ("cuCtxGetCurrent", "cuCtxSetCurrent", "cuCtxGetDevResource"):
        assert callable(getattr(driver, name))


def test_without_cuda_bindings_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(RuntimeError, match="needs cuda-bindings, which is not installed"):
        green_context.current_context()


@pytest.fixture
def precisions_restored() -> Iterator[None]:
    """The older switches first, as `set_fp32` does: torch refuses to read them where they contradict the newer ones."""
    matmul, conv, rnn = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    older = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    before = [torch.backends.fp32_precision, *(kind.fp32_precision for kind in (matmul, conv, rnn))]
    yield
    torch.set_float32_matmul_precision(older[0])
    torch.backends.cudnn.allow_tf32 = older[1]
    torch.backends.fp32_precision, matmul.fp32_precision, conv.fp32_precision, rnn.fp32_precision = before


@pytest.mark.usefixtures("precisions_restored")
def test_fp32_means_fp32_whatever_was_set_before() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    cuda_slot.set_fp32("ieee")
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert torch.backends.cudnn.rnn.fp32_precision == "ieee"


@pytest.mark.usefixtures("precisions_restored")
@pytest.mark.parametrize(("precision", "older"), [("ieee", "highest"), ("tf32", "high")])
def test_the_older_switches_tell_the_same_and_can_be_read(precision: Any, older: str) -> None:
    cuda_slot.set_fp32(precision)
    assert torch.get_float32_matmul_precision() == older
    assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")


# --- on the CPU, and on a GPU that is only pretended --------------------------------------------------------------


def test_on_the_cpu_nothing_is_moved_and_nothing_waited_for() -> None:
    model = object()
    with on_slot(Slot(index=0, threads=1)) as place:
        assert type(place) is Place
        assert place.put(model) is model
        assert place.stream is None
        assert place.detail() == {"device": "cpu"}


def test_a_torch_that_does_not_see_the_one_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for seen in (0, 2):
        monkeypatch.setattr(torch.cuda, "device_count", lambda seen=seen: seen)
        with pytest.raises(RuntimeError, match=f"sees {seen}"), on_slot(ON_CUDA):
            pass


class Pretended:
    """A GPU of `whole` multiprocessors, and what was done with it, in order. `given`: what a green context of it really
    holds; None: what was asked for."""

    def __init__(self, whole: SmResource, given: int | None = None) -> None:
        self.whole, self.given = whole, given
        self.current = whole
        self.done: list[str] = []

    def synchronize(self) -> None:
        self.done.append("wait")

    def new_stream(self) -> Pretended:
        """A stream of the current context. It is this object: all its waits are noted."""
        self.done.append("stream" if self.current is self.whole else "green stream")
        return self

    Stream = new_stream

    @contextmanager
    def use(self, stream: Pretended) -> Iterator[None]:
        assert stream is self
        self.done.append("enter")
        yield
        self.done.append("leave")

    def create(self, *, num_sms: int, device_id: int) -> Pretended:
        assert device_id == 0
        self.done.append(f"create {num_sms}")
        self.asked = num_sms
        return self

    def set_context(self) -> None:
        self.done.append("set")
        self.current = SmResource(self.given or self.asked, 8, 8)

    def make_current(self) -> None:
        self.done.append("current")

    def pop_context(self) -> None:
        self.done.append("pop")
        self.current = self.whole


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, precisions_restored: None) -> Pretended:
    made = Pretended(H200)
    properties = SimpleNamespace(name="NVIDIA H200", uuid="1234", multi_processor_count=132, L2_cache_size=1000)
    monkeypatch.setattr(cuda_slot, "CUDA_DEVICE", "cpu")
    monkeypatch.setattr(green_context, "current_context", lambda: made.current)
    monkeypatch.setattr(green_context, "sm_resource", lambda context: context)
    monkeypatch.setattr(green_context.Green, "make_current", made.make_current)
    monkeypatch.setattr(torch.cuda, "Stream", made.new_stream)
    monkeypatch.setattr(torch.cuda, "stream", made.use)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "synchronize", made.synchronize)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr("torch.cuda.green_contexts.GreenContext", made)
    return made


def test_calls_only_queue_and_the_proof_names_the_device(pretended: Pretended) -> None:
    workload = Glyphs()
    inputs = workload.inputs(2, seed=0)
    with TorchEager().load(Recipe(workload), Path("unused"), ON_CUDA) as loaded:
        assert pretended.done == ["wait", "stream", "enter"], "the model is on a stream of its own"
        result = loaded.bind(inputs)()
        assert pretended.done == ["wait", "stream", "enter"]
        assert loaded.stream is not None
        loaded.stream.wait()
        assert pretended.done[-1] == "wait"
        assert np.isfinite(loaded.outputs(result)).all()
        proof = loaded.prove(inputs)
    detail = proof.detail
    assert proof.precision == "unknown" and detail["why"] == "the profiler recorded no kernels of the GPU"
    assert (detail["device"], detail["sm_count"], detail["green_context"]) == ("NVIDIA H200", 132, False)
    assert detail["fp32_precision"] == {"matmul": "ieee", "conv": "ieee"}
    assert pretended.done[-1] == "leave"


@pytest.mark.usefixtures("pretended")
def test_emptying_the_cache_writes_over_more_than_it_holds() -> None:
    stream = CudaStream(None, l2_bytes=1000)
    stream._scratch.fill_(7)
    stream.flush_l2()
    assert len(stream._scratch) == 2000 and not stream._scratch.any()


def test_transfers_bring_new_inputs_and_take_the_result_back(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory, **kind: empty(*size, **kind))
    source, target = {"x": torch.ones(3)}, {"x": torch.zeros(3)}
    call = between_copies(source, target, lambda: target["x"] * 2)
    first = call()
    assert first.tolist() == [2, 2, 2]
    source["x"].fill_(5)
    assert call() is first and first.tolist() == [10, 10, 10]


def test_models_and_tensors_go_to_the_device() -> None:
    class Movable:
        def to(self, device: str) -> str:
            return f"on {device}"

    assert CudaPlace(CudaStream(None, 0)).put(Movable()) == "on cuda:0"


@pytest.mark.parametrize(("share", "count"), [(1 / 7, 16), (1 / 3, 40)])
def test_a_share_is_a_green_context_that_is_left_again(pretended: Pretended, share: float, count: int) -> None:
    slot = Slot(index=0, threads=1, executes_on="cuda", sm_share=share)
    with on_slot(slot) as place:
        assert pretended.done == ["wait", f"create {count}", "set", "green stream", "enter"]
        detail = place.detail()
    assert pretended.done[-1] == "pop"
    assert (detail["sm_count"], detail["sm_total"], detail["green_context"]) == (count, 132, True)


def test_a_green_context_is_current_when_events_are_made_and_when_it_is_left(
    pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else made another one current meanwhile."""
    event = SimpleNamespace(record=lambda: pretended.done.append("record"))
    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: event)
    with on_slot(Slot(index=0, threads=1, executes_on="cuda", sm_share=0.5)) as place:
        assert place.stream is not None and place.stream.event() is event
        assert pretended.done[-2:] == ["current", "record"]
    assert pretended.done[-3:] == ["leave", "current", "pop"]


def test_a_green_context_is_left_when_something_fails(pretended: Pretended) -> None:
    slot = Slot(index=0, threads=1, executes_on="cuda", sm_share=0.5)
    with pytest.raises(ZeroDivisionError), on_slot(slot):
        raise ZeroDivisionError
    assert pretended.done[-1] == "pop"


def test_a_green_context_of_another_size_is_an_error(pretended: Pretended) -> None:
    pretended.given = 48
    slot = Slot(index=0, threads=1, executes_on="cuda", sm_share=1 / 3)
    with pytest.raises(RuntimeError, match="of 40 multiprocessors, got one of 48"), on_slot(slot):
        pass
    assert pretended.done[-1] == "pop"


# --- feasibility ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("2.13.0+cpu", "the installed torch 2.13.0+cpu has no CUDA"),
        ("2.13.0+rocm7.1", "the installed torch 2.13.0+rocm7.1 has no CUDA"),
        ("2.13.0+cu130", None),
        ("2.13.0", None),
        ("2.13.0a0+ecf3bae.nv26.01", None),
    ],
)
def test_a_torch_without_cuda_is_a_reason(monkeypatch: pytest.MonkeyPatch, version: str, reason: str | None) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    assert TorchEager().infeasible(Glyphs(), gpu()) == reason


@pytest.mark.parametrize("runtime", [OnnxRuntime(), PythonCall()], ids=lambda r: type(r))
def test_runtimes_that_execute_on_the_cpu_say_so(runtime: Any) -> None:
    assert "CPU" in (runtime.infeasible(Glyphs(), gpu()) or "")


@pytest.mark.parametrize("device", [gpu(rehearsal=True), host.cpu_device()], ids=["rehearsal", "cpu"])
def test_tenants_of_a_rehearsed_gpu_execute_on_the_cpu(device: Device) -> None:
    for runtime in (TorchEager(), OnnxRuntime(), PythonCall()):
        assert runtime.infeasible(Glyphs(), device) is None


def test_what_needs_cuda_says_why_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0")
    assert needs_cuda(host.cpu_device(), what="fp8") == "fp8 needs an NVIDIA GPU, and this device is a CPU"
    assert needs_cuda(gpu(rehearsal=True), what="fp8") == "fp8 executes on a GPU, and this one is only rehearsed"
    assert needs_cuda(gpu(), (8, 9)) is None, "what is not told is tried"
    old = replace(gpu(), gpu=SimpleNamespace(compute_capability=(7, 5)))  # type: ignore[arg-type]
    assert needs_cuda(old, (8, 9), "fp8") == "fp8 needs compute capability 8.9, and a GPU has 7.5"
    assert needs_cuda(old, (7, 5), "fp8") is None
