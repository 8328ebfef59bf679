"""A GPU and its CUDA graphs, pretended on the CPU: what is recorded is run again at each replay, from and into the same
memory, as a graph does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.contract import Slot
from bench.runtimes.cuda_slot import CudaStream, Place


class PretendedPlace(Place):
    """Counts what is put there."""

    kind = "cuda"

    def __init__(self) -> None:
        self.queue = CudaStream("the slot's stream", l2_bytes=1)
        self.put_there: list[str] = []

    @property
    def stream(self) -> CudaStream:
        return self.queue

    def put(self, value: Any) -> Any:
        self.put_there.append("tensor" if isinstance(value, torch.Tensor) else "model")
        return value

    def detail(self) -> dict[str, Any]:
        return {"device": "pretended"}

    @contextmanager
    def on_slot(self, slot: Slot, fp32_precision: str = "ieee") -> Iterator[PretendedPlace]:
        self.fp32_precision = fp32_precision
        yield self


class Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.steps.append((func, args, kwargs or {}, result))
        return result


class PretendedGraph:
    """torch.cuda.CUDAGraph"""

    def __init__(self) -> None:
        self.recording = Recording()

    def replay(self) -> None:
        for func, args, kwargs, result in self.recording.steps:
            again = func(*args, **kwargs)
            if isinstance(result, torch.Tensor) and again is not result:
                result.copy_(again)


class PretendedCuda:
    """What torch.cuda offers of graphs, and what was asked of it."""

    def __init__(self, monkeypatch: Any) -> None:
        self.recorded: list[dict[str, Any]] = []
        monkeypatch.setattr(torch.cuda, "CUDAGraph", PretendedGraph)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "the pool")
        monkeypatch.setattr(torch.cuda, "graph", self.graph)

    @contextmanager
    def graph(self, cuda_graph: PretendedGraph, pool: Any = None, stream: Any = None) -> Iterator[None]:
        self.recorded.append({"pool": pool, "stream": stream})
        with cuda_graph.recording:
            yield
