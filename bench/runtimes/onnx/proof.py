"""What ONNX Runtime really ran, read from its profile: provider and precision of every heavy node.

A quantised graph is full of pairs of QuantizeLinear and DequantizeLinear. Only where ONNX Runtime fuses them
into an integer operator does anything run in int8; otherwise the Conv between them runs in fp32, and its
profile says so.

Where a GPU was asked for, the CPU takes what the GPU's provider has no kernel for. That is as it should be for nodes
that compute shapes; a heavy node there is no proof of the precision that was wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.contract import Proof
from bench.runtimes.proofs import majority

INTEGER = frozenset(
    {
        "QLinearConv",
        "QLinearMatMul",
        "QGemm",
        "QAttention",
        "QOrderedMatMul",
        "QOrderedAttention",
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
        "DeformConv",
        "FusedConv",
        "NhwcFusedConv",
        "Gemm",
        "FusedGemm",
        "GemmFastGelu",
        "MatMul",
        "FusedMatMul",
        "TransposeMatMul",
        "Attention",
        "MultiHeadAttention",
        "PackedAttention",
        "PackedMultiHeadAttention",
        "DecoderMaskedMultiHeadAttention",
        "GroupQueryAttention",
        "Einsum",
        "LSTM",
        "GRU",
        "RNN",
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


def read_profile(events: Iterable[Mapping[str, Any]], detail: Mapping[str, Any], provider: str) -> Proof:
    """The proof in one profiled run: kernel events, each with its operator, provider and tensor types.

    A heavy operator that another provider than `provider` executed makes the precision, e.g., "fp32 on
    CPUExecutionProvider", which no optimization expects."""
    precisions: Counter[str] = Counter()
    strays: Counter[str] = Counter()
    providers: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    for args in executed_nodes(events):
        operator, executor = args["op_name"], args.get("provider", "unknown")
        providers[executor] += 1
        nodes[operator] += 1
        if operator not in INTEGER | FLOATING:
            continue
        precision = "int8" if operator in INTEGER else _precision(args)
        if executor == provider:
            precisions[precision] += 1
        else:
            strays[f"{precision} on {executor}"] += 1
    return Proof(
        precision=majority(strays or precisions),
        operators={**precisions, **strays},
        providers=dict(providers),
        detail={**detail, "nodes": dict(nodes)},
    )


def executed_nodes(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What a profile tells of each node that ran: copies between host and GPU (MemcpyToHost, MemcpyFromHost) are nodes
    as well."""
    for event in events:
        args = event.get("args", {})
        if event.get("cat") == "Node" and "op_name" in args and event["name"].endswith("_kernel_time"):
            yield args


def _precision(args: Mapping[str, Any]) -> str:
    """The type of the first input: the activations."""
    for tensor in args.get("input_type_shape", ()):
        for name in tensor:
            return TENSOR_TYPES.get(name, str(name))
    return "unknown"
