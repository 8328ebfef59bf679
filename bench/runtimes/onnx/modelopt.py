"""Where nvidia-modelopt runs, and what it is given.

It has a process of its own: it prints to stdout, writes temporary files where it pleases, asks TensorRT about the
graph where that is installed, and replaces functions of ONNX Runtime for good.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bench
from bench.runtimes.onnx.export import PROTOBUF_LIMIT_BYTES


def run_modelopt(module: str, paths: tuple[Path, ...], scratch: Path) -> None:
    """`python -m module paths...`, with temporary files in `scratch` and what it prints on stderr.

    RuntimeError, with the last line of that, where it fails.
    """
    root = Path(bench.__file__).parents[1]
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(root)}
    ended = subprocess.run(
        (sys.executable, "-m", module, *map(str, paths)),
        cwd=scratch,  # modelopt deletes files of the current folder that are called as those it writes
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    sys.stderr.write(ended.stdout)
    if ended.returncode:
        last = (ended.stdout.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        raise RuntimeError(f"nvidia-modelopt cannot convert the graph: {last}")


def hide_tensorrt() -> None:
    """Before modelopt is imported: what it makes must not depend on whether TensorRT is installed."""
    sys.modules["tensorrt"] = None  # type: ignore[assignment]


def refuse_custom_operators(model: Any) -> None:
    """ValueError, where modelopt would turn to TensorRT for what it does not know."""
    import onnx

    custom = sorted({node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)})
    if custom:
        raise ValueError(f"the graph has operators that are not ONNX's own: {', '.join(custom)}")


def save(model: Any, path: Path) -> None:
    """Write a graph, with its weights beside it where one file cannot hold them."""
    import onnx

    size_bytes = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    external = size_bytes > PROTOBUF_LIMIT_BYTES
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data")
