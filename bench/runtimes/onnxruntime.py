"""ONNX Runtime on the CPU. A tenant that runs it imports neither torch nor onnx: it starts in a third of a
second."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from bench.contract import Array, Arrays, Device, Loaded, Proof, Recipe, Runtime, Slot, Workload, plugin
from bench.runtimes.onnx.proof import read_profile
from bench.runtimes.onnx.session import CPU, export_infeasible, graph_path, open_session, write_graph


@plugin
class OnnxRuntime(Runtime):
    """`quantization`: "static" scales activations by calibration batches, "dynamic" in every call.

    `allow_spinning`: ONNX Runtime's threads spin for a while when they have nothing to do. That is fast while
    every tenant has cores of its own, and burns a neighbour's time where tenants share cores; None keeps its
    default (spin).
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"torch", "onnx"})
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx")

    quantization: Literal["none", "static", "dynamic"] = "none"
    allow_spinning: bool | None = None

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        if device.executes_on == "cuda":
            return "its runtime executes on the CPU; on a GPU ONNX Runtime needs its CUDA provider: ort_cuda"
        return export_infeasible(workload)

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        from bench.runtimes.onnx import quantize_cpu

        changes: dict[str, Callable[[Path, Path], None]] = {
            "static": partial(quantize_cpu.quantize_static, workload=recipe.workload),
            "dynamic": quantize_cpu.quantize_dynamic,
        }
        write_graph(recipe, folder, changes.get(self.quantization))

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        new_session = partial(
            open_session, graph_path(recipe, folder), {CPU: {}}, slot.threads, allow_spinning=self.allow_spinning
        )
        session = new_session()
        yield OnnxLoaded(session, tuple(output.name for output in session.get_outputs()), new_session, slot.threads)


@dataclass(frozen=True)
class OnnxLoaded(Loaded):
    session: Any
    output_names: tuple[str, ...]
    new_session: Callable[..., Any]
    threads: int

    def bind(self, inputs: Arrays) -> Callable[[], Any]:
        return _call(self.session, self.output_names, inputs)

    def outputs(self, result: Any) -> Array:
        return np.asarray(result[0], dtype=np.float32)

    def prove(self, inputs: Arrays) -> Proof:
        """A second session, made as the first was, with the profiler on: profiling the first one would slow
        it."""
        import onnxruntime as ort

        with tempfile.TemporaryDirectory() as folder:
            session = self.new_session(profile_prefix=str(Path(folder) / "profile"))
            _call(session, self.output_names, inputs)()
            events = json.loads(Path(session.end_profiling()).read_text())
        return read_profile(events, {"onnxruntime": ort.__version__, "threads": self.threads}, CPU)


def _call(session: Any, output_names: tuple[str, ...], inputs: Arrays) -> Callable[[], Any]:
    arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    return partial(session.run, list(output_names), arrays)
