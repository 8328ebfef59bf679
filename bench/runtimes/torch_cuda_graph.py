"""CUDA graphs: a call's kernels are recorded once, and each request queues all of them with one call of CUDA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.feasibility import needs_cuda
from bench.optimizations.calling import plain_output
from bench.runtimes.cuda_slot import CudaStream, on_slot
from bench.runtimes.torch.model import InputForm, use_threads
from bench.runtimes.torch.replay import Replayed

WARM_UP_CALLS = 3
"""Before the recording: what libraries set up when they are first used cannot be recorded."""


@plugin
class TorchCudaGraph(Runtime):
    """Torch eager, recorded for each input anew: a graph reads the memory that it was recorded with."""

    requires = ("torch", "safetensors")

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return needs_cuda(device, what="a CUDA graph")

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        import torch

        use_threads(slot)
        with on_slot(slot) as place:
            model, pool = recipe.model(place.put), torch.cuda.graph_pool_handle()
            with torch.inference_mode():
                form = InputForm.of(model)
                yield GraphLoaded(model, form, by_name=True, detail={}, place=place, plain=model, pool=pool)


@dataclass(frozen=True, kw_only=True)
class GraphLoaded(Replayed):
    """`pool`: memory that all graphs share. They can, because on one stream no two of them run at once."""

    pool: Any

    def call_on(self, tensors: Mapping[str, Any]) -> Callable[[], Any]:
        import torch

        eager = super().call_on(tensors)
        for _ in range(WARM_UP_CALLS):
            eager()
        graph = torch.cuda.CUDAGraph()
        # On the place's own stream: torch would record on one of its pool, which belongs to the whole device, and the
        # kernels would leave a green context.
        stream = cast(CudaStream, self.place.stream).torch_stream
        try:
            with torch.cuda.graph(graph, pool=self.pool, stream=stream):
                result = plain_output(eager())
        except RuntimeError as error:
            raise RuntimeError(f"this model cannot be recorded in a CUDA graph: {error}") from error
        return Replay(graph, tensors, result)


@dataclass(frozen=True)
class Replay:
    """The graph reads the memory of `inputs` and writes that of `result`: both must live as long as it does."""

    graph: Any
    inputs: Mapping[str, Any]
    result: Any

    def __call__(self) -> Any:
        self.graph.replay()
        return self.result
