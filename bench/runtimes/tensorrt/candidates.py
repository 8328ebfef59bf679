"""Engines of one recipe, in one precision or several, and how each came about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench import clock
from bench.contract import Arrays, Recipe, Workload
from bench.runtimes.cuda_slot import CudaPlace
from bench.runtimes.tensorrt import api
from bench.runtimes.tensorrt.build import Limits, build_engine
from bench.runtimes.tensorrt.choose import call_ms
from bench.runtimes.tensorrt.execute import load_engine

Precision = Literal["fp32", "fp16", "int8", "fp8"]


@dataclass(frozen=True)
class Candidate:
    """An engine that was built. call_ms: None where there was nothing to choose."""

    plan: bytes
    facts: dict[str, Any]
    call_ms: float | None


@dataclass(frozen=True)
class Candidates:
    """Builds engines of one recipe; what it needs on the way is in `graphs`."""

    recipe: Recipe
    graphs: Path
    inputs: Arrays
    limits: Limits
    place: CudaPlace

    def build(self, precisions: tuple[Precision, ...]) -> tuple[list[Candidate], dict[str, str]]:
        """The engines, and of those precisions that this model cannot have: why not. RuntimeError if that is all."""
        started_ns = clock.now_ns()
        source = self._source()
        export_s = clock.seconds(clock.now_ns() - started_ns)
        made: list[Candidate] = []
        failed: dict[str, str] = {}
        timings = b""
        for precision in precisions:
            try:
                candidate, timings = self._engine(source, precision, timings, timed=len(precisions) > 1)
            except (RuntimeError, ValueError) as error:
                failed[precision] = str(error)
                continue
            made.append(replace(candidate, facts={"export_s": export_s, **candidate.facts}))
        if not made:
            raise RuntimeError("; ".join(f"{precision}: {reason}" for precision, reason in failed.items()))
        return made, failed

    def _source(self) -> Path:
        if self.recipe.workload.kind == "onnx":
            return Path(self.recipe.workload.load().path)
        from bench.runtimes.onnx.export import export

        path = self.graphs / "model.onnx"
        export(self.recipe, path)
        return path

    def _engine(self, source: Path, precision: Precision, timings: bytes, timed: bool) -> tuple[Candidate, bytes]:
        started_ns = clock.now_ns()
        graph = converted(source, self.graphs / f"{precision}.onnx", self.recipe.workload, precision)
        graph_s = clock.seconds(clock.now_ns() - started_ns)
        shapes = {name: tuple(array.shape) for name, array in self.inputs.items()}
        built = build_engine(graph, shapes, self.limits, self.place, timings)
        loaded = load_engine(built.plan, self.place)
        where = self.place.detail()
        facts = {
            "precision": precision,
            "tensorrt": api.version(),
            "gpu": where["device"],
            "sm_count": where["sm_count"],
            "graph_s": graph_s,
            "parse_s": built.parse_s,
            "build_s": built.build_s,
            "engine_bytes": len(built.plan),
            "workspace_limit_bytes": built.workspace_limit_bytes,
            "device_memory_bytes": loaded.scratch.numel(),
        }
        per_call_ms = call_ms(loaded.bind(self.inputs), loaded.stream) if timed else None
        return Candidate(built.plan, facts, per_call_ms), built.timings


def converted(source: Path, target: Path, workload: Workload, precision: Precision) -> Path:
    """The graph in this precision; `source` itself where it stays as it is."""
    if precision == "fp32":
        return source
    if precision == "fp16":
        from bench.runtimes.onnx.fp16 import to_fp16

        to_fp16(source, target)
    else:
        from bench.runtimes.onnx.quantize_gpu import quantize

        quantize(source, target, workload, precision)
    return target


def report(chosen: Candidate, made: list[Candidate], failed: dict[str, str]) -> dict[str, Any]:
    """What build.json holds: how the engine came about, and what it was chosen from."""
    told = {**chosen.facts}
    if failed:
        told["failed"] = failed
    if len(made) > 1:
        told["candidates"] = [{**candidate.facts, "call_ms": candidate.call_ms} for candidate in made]
    return told
