"""For tests of ONNX Runtime: a user's graph, and stand-ins for a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from bench.contract import Arrays, Device, OnnxFile, Slot, Workload, plugin
from bench.runtimes.cuda_slot import CudaPlace, CudaStream

ON_CUDA = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1")


@plugin
class UserFile(Workload):
    """Somebody's graph: two matrix products of 16 x 16."""

    kind: ClassVar[str] = "onnx"
    path: Path

    def identity(self) -> Mapping[str, Any]:
        return {"path": str(self.path)}

    def load(self) -> OnnxFile:
        return OnnxFile(self.path)

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        return {"x": np.random.default_rng(seed).standard_normal((batch_size, 16)).astype(np.float32)}


def user_file(folder: Path) -> UserFile:
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((16, 16)).astype(np.float32) / 4, f"w{i}") for i in range(2)
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w1"], ["y"]),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16]) for name in "xy"]
    graph = helper.make_graph(nodes, "user", tensors[:1], tensors[1:], weights)
    path = folder / "user.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return UserFile(path)


def gpu(capability: tuple[int, int] | None = None, rehearsal: bool = False) -> Device:
    told: Any = SimpleNamespace(compute_capability=capability)
    return Device(kind="cuda", name="a GPU", cpus=(0,), memory_bytes=1, rehearsal=rehearsal, gpu=told, host="a CPU")


@dataclass(frozen=True)
class PretendedStream(CudaStream):
    """Its handle is 77; `done` is what it was asked."""

    done: list[Any] = field(default_factory=list)

    def wait(self) -> None:
        self.done.append("wait")


def pretended_place(monkeypatch: pytest.MonkeyPatch) -> tuple[CudaPlace, list[Any]]:
    """A GPU that leaves tensors on the CPU, and what its stream was asked."""
    monkeypatch.setattr(CudaPlace, "put", lambda self, value: value)
    monkeypatch.setattr(CudaPlace, "detail", lambda self: {"device": "NVIDIA H200"})
    stream = PretendedStream(SimpleNamespace(cuda_stream=77), 0)
    return CudaPlace(stream), stream.done


@contextmanager
def pretended_gpu(place: CudaPlace, slot: Slot) -> Iterator[CudaPlace]:
    yield place
