"""Quantised versions of ONNX graphs for GPUs, made by nvidia-modelopt: pairs of QuantizeLinear and DequantizeLinear
before the heavy operators, which TensorRT fuses into 8-bit kernels.

Symmetric throughout (zero points are 0); weights have one scale per output channel of a convolution and per column of
a matrix product, activations one per tensor. The largest magnitude that the calibration batches show becomes 127 in
int8. In fp8 (E4M3) it becomes 36 of 448, which modelopt means so (its issue 215); a floating-point number is as exact
there. modelopt leaves out what 8-bit kernels of GPUs cannot do or do no faster: matrix products with one row, or with
fewer than 16 inputs or outputs, and convolutions of few channels (fp8: 16 or fewer, such as a network's first one).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.contract import Array, Workload
from bench.runtimes.onnx.modelopt import hide_tensorrt, refuse_custom_operators, run_modelopt, save

HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def quantize(source: Path, target: Path, workload: Workload, precision: Literal["int8", "fp8"]) -> None:
    """Write `source` to `target`, quantised by the workload's calibration batches, with all other work in float16.

    Inputs and outputs of the graph keep their types. ValueError where it is quantised already, has operators that are
    not ONNX's own, or has nothing to quantise; RuntimeError where modelopt cannot convert the graph, or float16 cannot
    hold its scales.
    """
    import onnx

    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        files = _Files(Path(folder))
        model = onnx.load(source)
        if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
            raise ValueError("the graph is quantised already")
        refuse_custom_operators(model)
        save(model, files.source)  # a copy: modelopt writes to its source, and beside it
        files.write(workload, {"quantize_mode": precision, "high_precision_dtype": "fp16"})
        run_modelopt(__name__, (files.folder,), files.folder)
        made = onnx.load(files.made)
    if not quantized_nodes(made):
        found = sum(node.op_type in HEAVY for node in made.graph.node)
        raise ValueError(
            f"nothing was quantised: of the graph's {found} convolutions and matrix products, none has weights and is "
            f"large enough for {precision} kernels"
        )
    unsound = _unsound_scales(made)
    if unsound:
        raise RuntimeError(f"float16 cannot hold {len(unsound)} of the graph's scales, such as {unsound[0]}")
    save(made, target)


def quantized_nodes(model: Any) -> list[Any]:
    """The heavy nodes of which both operands have been through 8 bits."""
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    return [
        node
        for node in model.graph.node
        if node.op_type in HEAVY and all(producers.get(name) == "DequantizeLinear" for name in node.input[:2])
    ]


def _unsound_scales(model: Any) -> list[str]:
    """Names of the scales that are 0 or not finite: modelopt rounds them to float16 unchecked."""
    from onnx import numpy_helper

    scales = {node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name in scales}
    return sorted(name for name, scale in stored.items() if not (np.isfinite(scale) & (scale > 0)).all())


@dataclass(frozen=True)
class _Files:
    """What passes to modelopt's process and back."""

    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "source.onnx"

    @property
    def made(self) -> Path:
        return self.folder / "made.onnx"

    @property
    def options(self) -> Path:
        return self.folder / "options.json"

    def write(self, workload: Workload, options: Mapping[str, str]) -> None:
        """The options, and the calibration batches one by one."""
        batches: list[dict[str, Any]] = []
        for batch in workload.calibration():
            path = self.folder / f"batch{len(batches)}.npz"
            np.savez(path, *batch.values())
            batches.append({"path": str(path), "names": list(batch)})
        self.options.write_text(json.dumps({"options": dict(options), "batches": batches}))


@dataclass
class _Batches:
    """The calibration batches, as modelopt and ONNX Runtime read them: one per call, then None."""

    stored: list[Mapping[str, Any]]
    next: int = field(default=0)

    def get_next(self) -> dict[str, Array] | None:
        self.next += 1
        return self._read(self.next - 1) if self.next <= len(self.stored) else None

    def get_first(self) -> dict[str, Array]:
        return self._read(0)

    def _read(self, index: int) -> dict[str, Array]:
        with np.load(self.stored[index]["path"]) as arrays:
            return dict(zip(self.stored[index]["names"], arrays.values(), strict=True))


def _main(files: _Files) -> None:
    hide_tensorrt()
    from modelopt.onnx.quantization import quantize as quantize_by_modelopt

    given = json.loads(files.options.read_text())
    quantize_by_modelopt(
        str(files.source),
        output_path=str(files.made),
        calibration_data_reader=_Batches(given["batches"]),
        calibration_method="max",  # fp8 allows no other; for int8 "entropy" is slower and no better on our workloads
        calibration_eps=["cpu"],
        log_level="ERROR",
        **given["options"],
    )


if __name__ == "__main__":
    _main(_Files(Path(sys.argv[1])))
