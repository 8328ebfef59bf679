"""A float16 version of an ONNX graph, made by nvidia-modelopt.

The same conversion makes what is not quantised in `onnx_qdq.py`'s graphs float16, so that a graph in fp16 and one in
int8 or fp8 differ by their quantisation and by nothing else. ONNX Runtime's own converter
(`onnxruntime.transformers.float16`) gives the same numbers, and leaves nodes in an order that ONNX's checker refuses.
modelopt's `convert_to_mixed_precision` gives them too, and keeps the masking of attention in float32, between casts.

nvidia-modelopt runs in a process of its own: it prints to stdout, writes temporary files where it pleases, asks
TensorRT about the graph where that is installed, and replaces functions of ONNX Runtime for good.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.runtimes.onnx.export import PROTOBUF_LIMIT_BYTES


def to_fp16(source: Path, target: Path) -> None:
    """Write `source` to `target` with all floating-point work in float16; inputs and outputs keep their types.

    Constants beyond float16's range (the masks of attention) become its largest numbers. RuntimeError where modelopt
    cannot convert the graph.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        run_modelopt(__name__, (source.absolute(), target.absolute()), Path(scratch))


def run_modelopt(module: str, paths: tuple[Path, ...], scratch: Path) -> None:
    """`python -m module paths...`, with temporary files in `scratch` and what it prints on stderr."""
    root = Path(__file__).parents[3]
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


def _main(source: Path, target: Path) -> None:
    import onnx

    hide_tensorrt()
    from modelopt.onnx.autocast import convert_to_f16
    from modelopt.onnx.utils import name_onnx_nodes

    model = onnx.load(source)
    refuse_custom_operators(model)
    name_onnx_nodes(model.graph)  # it would leave a node without a name in float32, and not say so
    save(convert_to_f16(model, low_precision_type="fp16", keep_io_types=True), target)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:]))
