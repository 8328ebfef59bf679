"""int8 versions of ONNX graphs, made by ONNX Runtime's own tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.contract import Array, Workload

CPUINFO = Path("/proc/cpuinfo")


def quantize_static(source: Path, target: Path, workload: Workload) -> None:
    """Weights and activations in int8, activations scaled by what the workload's calibration batches show.

    Unsigned activations and signed weights (U8S8) are what x86 multiplies fast. Without VNNI those
    instructions add pairs of products in 16 bits, which saturates; 7-bit weights (`reduce_range`) avoid that.
    """
    from onnxruntime import quantization as q

    prepared = _prepared(source, target)
    q.quantize_static(
        prepared,
        target,
        Batches(workload.calibration()),
        quant_format=q.QuantFormat.QDQ,
        per_channel=True,
        activation_type=q.QuantType.QUInt8,
        weight_type=q.QuantType.QInt8,
        reduce_range=not has_vnni(),
        op_types_to_quantize=_operators(prepared),
        use_external_data_format=_is_large(prepared),
    )
    remove(prepared)


def _operators(prepared: Path) -> list[str] | None:
    """Which operators get int8: in transformers the matrix products only, everything ONNX Runtime can
    elsewhere.

    Convolutional networks want their additions and poolings in int8 too, so that activations stay int8 from
    one convolution to the next. In transformers that loses accuracy and gains nothing (DistilBERT, batch 1:
    cosine to fp32 0.93 with everything, 0.97 with the products alone, both 2.7 times faster than fp32).
    """
    import onnx

    nodes = onnx.load(prepared, load_external_data=False).graph.node
    is_transformer = any(node.op_type == "LayerNormalization" for node in nodes)
    return ["Conv", "Gemm", "MatMul"] if is_transformer else None


def quantize_dynamic(source: Path, target: Path) -> None:
    """Weights in int8; activations are scaled anew in every call, so no calibration is needed."""
    from onnxruntime import quantization as q

    prepared = _prepared(source, target)
    q.quantize_dynamic(
        prepared,
        target,
        per_channel=True,
        weight_type=q.QuantType.QInt8,
        reduce_range=not has_vnni(),
        use_external_data_format=_is_large(prepared),
    )
    remove(prepared)


class Batches:
    """A workload's calibration batches, as ONNX Runtime's CalibrationDataReader gives them: one per call,
    then None."""

    def __init__(self, batches: Iterator[object]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)  # type: ignore[call-overload]


def has_vnni() -> bool:
    """Whether this CPU multiplies 8-bit numbers with 32-bit sums. Where it cannot be read: no, the safe
    answer."""
    try:
        flags = CPUINFO.read_text()
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags


def _prepared(source: Path, target: Path) -> Path:
    """The graph with its shapes inferred and its batch norms folded: raw exported graphs cannot be
    quantised."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_name("prepared.onnx")
    quant_pre_process(source, prepared, save_as_external_data=_is_large(source))
    return prepared


def _is_large(path: Path) -> bool:
    """Whether weights lie beside the graph, as they must from 2 GiB on."""
    return path.with_name(path.name + ".data").exists()


def remove(path: Path) -> None:
    """Delete a graph and the weights beside it."""
    for part in path.parent.glob(path.name + "*"):
        part.unlink()
