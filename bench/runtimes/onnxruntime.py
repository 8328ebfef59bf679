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
from bench.runtimes.onnx_proof import read_profile


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
    providers: tuple[str, ...] = ("CPUExecutionProvider",)

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        from bench.contract import importable

        if device.executes_on == "cuda":
            return "its runtime executes on the CPU; on a GPU ONNX Runtime needs its CUDA provider"
        missing = [name for name in ("torch", "onnxscript", "safetensors") if not importable(name)]
        if workload.kind == "torch" and missing:
            return f"exporting the model needs {', '.join(missing)}, which is not installed"
        return None

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        from bench.runtimes import onnx_quantize

        if recipe.workload.kind == "onnx":
            source = Path(recipe.workload.load().path)
        else:
            from bench.runtimes.onnx_export import export

            source = folder / ("model.onnx" if self.quantization == "none" else "float.onnx")
            export(recipe, source)
        if self.quantization == "static":
            onnx_quantize.quantize_static(source, folder / "model.onnx", recipe.workload)
        elif self.quantization == "dynamic":
            onnx_quantize.quantize_dynamic(source, folder / "model.onnx")
        if source.name == "float.onnx" and source.parent == folder:
            onnx_quantize.remove(source)

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        as_given = recipe.workload.kind == "onnx" and self.quantization == "none"
        path = Path(recipe.workload.load().path) if as_given else folder / "model.onnx"
        session = self._session(path, slot.threads)
        yield OnnxLoaded(
            session,
            tuple(output.name for output in session.get_outputs()),
            partial(self._session, path, slot.threads),
            slot.threads,
        )

    def _session(self, path: Path, threads: int, profile_prefix: str | None = None) -> Any:
        """A session with exactly the providers asked for: ONNX Runtime replaces what it lacks without a
        word."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3  # errors only
        if self.allow_spinning is not None:
            options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.allow_spinning)))
        if profile_prefix is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile_prefix
        session = ort.InferenceSession(str(path), options, providers=list(self.providers))
        if tuple(session.get_providers()) != self.providers:
            raise RuntimeError(f"asked ONNX Runtime for {self.providers}, got {session.get_providers()}")
        return session


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
        return read_profile(events, {"onnxruntime": ort.__version__, "threads": self.threads})


def _call(session: Any, output_names: tuple[str, ...], inputs: Arrays) -> Callable[[], Any]:
    arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    return partial(session.run, list(output_names), arrays)
