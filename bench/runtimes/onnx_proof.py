"""What ONNX Runtime really ran, read from its profile: provider and precision of every heavy node.

A quantised graph is full of pairs of QuantizeLinear and DequantizeLinear. Only where ONNX Runtime fuses them
into an integer operator does anything run in int8; otherwise the Conv between them runs in fp32, and its
profile says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bench.contract import Proof

INTEGER = frozenset(
    {
        "QLinearConv",
        "QLinearMatMul",
        "QGemm",
        "QAttention",
        "ConvInteger",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
    }
)
FLOATING = frozenset(
    {
        "Conv",
        "ConvTranspose",
        "FusedConv",
        "NhwcFusedConv",
        "Gemm",
        "FusedGemm",
        "MatMul",
        "FusedMatMul",
        "TransposeMatMul",
        "Attention",
        "MultiHeadAttention",
        "GroupQueryAttention",
        "Einsum",
        "LSTM",
        "GRU",
    }
)
TENSOR_TYPES = {
    "float": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "double": "fp64",
    "int8": "int8",
    "uint8": "int8",
}


def read_profile(events: Iterable[Mapping[str, Any]], detail: Mapping[str, Any]) -> Proof:
    """The proof in one profiled run: kernel events, each with its operator, provider and tensor types."""
    precisions: Counter[str] = Counter()
    providers: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    for event in events:
        args = event.get("args", {})
        if event.get("cat") != "Node" or "op_name" not in args or not event["name"].endswith("_kernel_time"):
            continue
        operator = args["op_name"]
        providers[args.get("provider", "unknown")] += 1
        nodes[operator] += 1
        if operator in INTEGER:
            precisions["int8"] += 1
        elif operator in FLOATING:
            precisions[_precision(args)] += 1
    precision = max(sorted(precisions), key=lambda name: precisions[name]) if precisions else "none"
    return Proof(precision, dict(precisions), dict(providers), {**detail, "nodes": dict(nodes)})


def _precision(args: Mapping[str, Any]) -> str:
    """The type of the first input: the activations."""
    for tensor in args.get("input_type_shape", ()):
        for name in tensor:
            return TENSOR_TYPES.get(name, str(name))
    return "unknown"
