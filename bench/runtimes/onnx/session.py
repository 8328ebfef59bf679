"""From a recipe to an ONNX Runtime session that has the execution providers it was asked for, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.contract import Recipe, Workload
from bench.feasibility import missing

GRAPH = "model.onnx"
CPU = "CPUExecutionProvider"

Providers = Mapping[str, Mapping[str, str]]
"""Options of each execution provider by its name, the preferred one first."""


def export_infeasible(workload: Workload) -> str | None:
    """(conductor) Why the workload's model cannot be turned into a graph here; None if it can."""
    return missing(("torch", "onnxscript", "safetensors"), "exporting the model") if workload.kind == "torch" else None


def write_graph(recipe: Recipe, folder: Path, change: Callable[[Path, Path], None] | None = None) -> None:
    """The recipe's graph in `folder`, changed by `change(source, target)`; a user's own file that is executed as it is
    stays where it is."""
    if recipe.workload.kind == "onnx":
        source = Path(recipe.workload.load().path)
    else:
        from bench.runtimes.onnx.export import export

        source = folder / ("exported.onnx" if change else GRAPH)
        export(recipe, source)
    if change is None:
        return
    change(source, folder / GRAPH)
    if source.parent == folder:
        for part in folder.glob(source.name + "*"):  # the weights may lie beside it
            part.unlink()


def graph_path(recipe: Recipe, folder: Path) -> Path:
    """What `write_graph` left to be executed."""
    written = folder / GRAPH
    return written if written.exists() else Path(recipe.workload.load().path)


def open_session(
    path: Path,
    providers: Providers,
    threads: int,
    profile_prefix: str | None = None,
    allow_spinning: bool | None = None,
) -> Any:
    """A session on the graph at `path`. With `profile_prefix` it profiles itself, into a file that is named so.

    RuntimeError where its providers are not those asked for: ONNX Runtime replaces one that it cannot load, and says so
    in its log only."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only
    if allow_spinning is not None:
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(allow_spinning)))
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    wanted = [(name, dict(chosen)) for name, chosen in providers.items()]
    # Its own fall-back would print to stdout and try again with fewer providers.
    session = ort.InferenceSession(str(path), options, providers=wanted, enable_fallback=0)
    if session.get_providers() != list(providers):
        raise RuntimeError(f"asked ONNX Runtime for {', '.join(providers)}, got {', '.join(session.get_providers())}")
    return session
