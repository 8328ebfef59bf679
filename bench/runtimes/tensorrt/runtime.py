"""TensorRT as a runtime: from a workload's model to an engine, and from an engine to calls."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pydantic

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.feasibility import missing, needs_cuda
from bench.runtimes.cuda_slot import CudaPlace, Place, on_slot
from bench.runtimes.tensorrt.build import Limits
from bench.runtimes.tensorrt.candidates import Candidates, Precision, report
from bench.runtimes.tensorrt.execute import load_engine

ENGINE = "engine.plan"
REPORT = "build.json"
OLDEST_GPU = (7, 5)
"""TensorRT 11 is built with CUDA 13, which knows no older GPU."""
FP8_GPU = (8, 9)
CALIBRATED = ("int8", "fp8", "best")
"""modelopt runs the graph in ONNX Runtime, this package or that, to see what flows through it."""


@plugin
class TensorRT(Runtime):
    """An engine for one batch size, with the precision that the graph is given: "fp16" converts it, "int8" and "fp8"
    insert Q/DQ pairs scaled by the workload's calibration batches, and everything else in those is fp16.

    "best" builds fp16, int8 and (where the GPU can) fp8, and keeps the one that is fastest in the builder. All times
    are in build.json, as is why one could not be built. What is reported is measured again, so that the choice does not
    flatter the result.

    workspace_bytes: most memory that one kernel may ask for. None: TensorRT's default, all of the GPU's.
    optimization_level: 0 (fast to build) to 5 (all kernels tried). None: TensorRT's default, 3.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"torch", "onnx"})
    requires: ClassVar[tuple[str, ...]] = ("tensorrt", "torch", "onnx")
    batch_specific: ClassVar[bool] = True
    slot_specific: ClassVar[bool] = True

    precision: Literal["fp32", "fp16", "int8", "fp8", "best"]
    workspace_bytes: Annotated[int, pydantic.Field(gt=0)] | None = None
    optimization_level: Annotated[int, pydantic.Field(ge=0, le=5)] | None = None

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        capability = FP8_GPU if self.precision == "fp8" else OLDEST_GPU
        what = "FP8 in TensorRT" if self.precision == "fp8" else "TensorRT"
        if reason := needs_cuda(device, capability, what):
            return reason
        needed = (
            *(("onnxscript", "safetensors") if workload.kind == "torch" else ()),
            *(("modelopt",) if self.precision != "fp32" else ()),
            *(("onnxruntime",) if self.precision in CALIBRATED else ()),
        )
        return missing((*self.requires, *needed), "building its engine")

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        inputs = recipe.workload.inputs(batch_size, seed=0)
        limits = Limits(self.workspace_bytes, self.optimization_level)
        with tempfile.TemporaryDirectory(dir=folder) as graphs, on_slot(slot) as place:
            candidates = Candidates(recipe, Path(graphs), inputs, limits, cuda(place))
            made, failed = candidates.build(self._precisions())
        fastest = min(made, key=lambda candidate: candidate.call_ms or 0.0)
        (folder / ENGINE).write_bytes(fastest.plan)
        (folder / REPORT).write_text(json.dumps(report(fastest, made, failed), indent=1))

    def _precisions(self) -> tuple[Precision, ...]:
        import torch

        if self.precision != "best":
            return (self.precision,)
        return ("fp16", "int8", "fp8") if torch.cuda.get_device_capability() >= FP8_GPU else ("fp16", "int8")

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        plan = read_plan(folder)
        with on_slot(slot) as place:
            yield load_engine(plan, cuda(place))


def read_plan(folder: Path) -> bytes:
    """The serialized engine. RuntimeError if it is not as long as it was: TensorRT is not shown broken engines."""
    try:
        plan = (folder / ENGINE).read_bytes()
        expected = json.loads((folder / REPORT).read_text())["engine_bytes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RuntimeError(f"no engine in {folder} that TensorRT could load: {error}") from error
    if len(plan) != expected:
        raise RuntimeError(f"{folder / ENGINE} was cut: it has {len(plan)} of {expected} bytes")
    return plan


def cuda(place: Place) -> CudaPlace:
    if not isinstance(place, CudaPlace):
        raise RuntimeError("TensorRT executes on a GPU, and this slot has none")
    return place
