"""A float16 version of an ONNX graph, made by nvidia-modelopt.

The same conversion makes what is not quantised in `quantize_gpu.py`'s graphs float16, so that a graph in fp16 and one
in int8 or fp8 differ by their quantisation and by nothing else. ONNX Runtime's own converter
(`onnxruntime.transformers.float16`) gives the same numbers, and leaves nodes in an order that ONNX's checker refuses.
modelopt's `convert_to_mixed_precision` gives them too, and keeps the masking of attention in float32, between casts.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.runtimes.onnx.modelopt import hide_tensorrt, refuse_custom_operators, run_modelopt, save


def to_fp16(source: Path, target: Path) -> None:
    """Write `source` to `target` with all floating-point work in float16; inputs and outputs keep their types.

    Constants beyond float16's range (the masks of attention) become its largest numbers. ValueError where the graph
    has operators that are not ONNX's own, RuntimeError where modelopt cannot convert it.
    """
    import onnx

    refuse_custom_operators(onnx.load(source, load_external_data=False))
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        run_modelopt(__name__, (source.absolute(), target.absolute()), Path(scratch))


def _main(source: Path, target: Path) -> None:
    import onnx

    hide_tensorrt()
    from modelopt.onnx.autocast import convert_to_f16
    from modelopt.onnx.utils import name_onnx_nodes

    model = onnx.load(source)
    name_onnx_nodes(model.graph)  # it would leave a node without a name in float32, and not say so
    save(convert_to_f16(model, low_precision_type="fp16", keep_io_types=True), target)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:]))
