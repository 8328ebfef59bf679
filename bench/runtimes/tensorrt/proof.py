"""What an engine executes, read from its own layer information (`EngineInspector`, verbosity DETAILED).

A tactic's name says in which type it multiplies, as the names of all kernels do (kernel_names.py, which is asked
first): in `..._i8f16_i8i32_f32_...` the first pair is what is read and written (int8, fp16), the second what is
multiplied and summed (int8, int32). Where the name says nothing, the type of the first input does; TensorRT 10 tells it
under "Format/Datatype", in words, and TensorRT 11 under "DataType".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.contract import Proof
from bench.runtimes.kernel_names import is_generated, is_heavy_kernel, kernel_precision
from bench.runtimes.proofs import proof

HEAVY_TYPES = re.compile(r"conv|gemm|matrixmultiply|matmul|fullyconnected|mha|attention|myelin", re.IGNORECASE)
"""Types of layers that are matrix products or convolutions. "Myelin", in older versions, is a whole subgraph."""
HASH = re.compile(r"_0x[0-9a-f]+")
"""Of a generated kernel; it may happen to read like a type (..._0x7f16ab33de)."""
LIGHT_TYPES = frozenset({"reformat", "noop", "shuffle", "constant"})
"""Their names tell of the layer they serve, which may be a convolution."""

NAMES = {
    "e4m3": "fp8", "e5m2": "fp8", "bf16": "bf16", "tf32": "tf32", "f16": "fp16", "f32": "fp32", "i8": "int8",
    "s8": "int8", "u8": "int8", "e2m1": "fp4",
}  # fmt: skip
TYPE = "|".join(sorted(NAMES, key=len, reverse=True))
MULTIPLIED = re.compile(rf"_(?:{TYPE})(?:{TYPE})_({TYPE})(?:{TYPE}|i32|s32)(?:_|$)")
READ = re.compile(rf"_({TYPE})(?:{TYPE})(?:{TYPE}|i32)?(?:_|$)")
"""Only what is read is named, as in ..._f16f16f32_...; fp32 that is read may be multiplied in tf32."""
WORDS = (
    ("fp8", re.compile(r"e4m3|e5m2|fp8")),
    ("int8", re.compile(r"int8|imma|i8816|i16832")),
    ("bf16", re.compile(r"bf16")),
    ("fp16", re.compile(r"hmma|h16816|h1688|h884|fp16|f16")),
    ("tf32", re.compile(r"tf32|s1688")),
    ("fp32", re.compile(r"scudnn|sgemm|simt|ffma|fp32")),
)
"""Older names, looked at in this order: a kernel that writes fp32 may multiply int8."""
FORMATS = (
    ("fp8", re.compile(r"\bfp8", re.IGNORECASE)),
    ("int8", re.compile(r"\bint8\b", re.IGNORECASE)),
    ("bf16", re.compile(r"\b(?:bf16|bfloat16)\b", re.IGNORECASE)),
    ("fp16", re.compile(r"\b(?:fp16|half|float16)\b", re.IGNORECASE)),
    ("fp32", re.compile(r"\b(?:fp32|float|float32)\b", re.IGNORECASE)),
)


def read_layers(text: str, detail: Mapping[str, Any]) -> Proof:
    """The proof in an engine's layer information, JSON. ValueError, in words, if it is something else.

    An engine that was built without DETAILED verbosity gives only names: its precision is "unknown"."""
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("TensorRT's layer information is not the JSON object that it should be") from error
    if not isinstance(layers, list):
        raise ValueError("TensorRT's layer information has no list of layers")
    if not all(isinstance(layer, dict) for layer in layers):
        return Proof("unknown", {}, {"TensorRT": len(layers)}, {**detail, "layers": "names only"})
    counts = Counter((_word(layer, "LayerType"), precision_of(layer)) for layer in layers if is_heavy(layer))
    return proof(counts, detail, {"TensorRT": len(layers)})


def is_heavy(layer: Mapping[str, Any]) -> bool:
    """Whether a layer holds a matrix product, a convolution or attention."""
    kind, tactic = _word(layer, "LayerType"), _word(layer, "TacticName")
    if kind.lower() in LIGHT_TYPES:
        return False
    if is_generated(tactic):
        return is_heavy_kernel(tactic)
    return bool(HEAVY_TYPES.search(kind)) or is_heavy_kernel(tactic)


def precision_of(layer: Mapping[str, Any]) -> str:
    """The type that a heavy layer multiplies in; "unknown" if neither its tactic nor its inputs tell."""
    if _word(layer, "LayerType") == "Myelin":
        return "unknown"  # its inputs do not tell what is multiplied inside
    return precision_of_tactic(_word(layer, "TacticName")) or _precision_of_inputs(layer)


def precision_of_tactic(name: str) -> str | None:
    """What the name of a tactic, or of a kernel that an engine executes, tells of the type that it multiplies in."""
    tactic = HASH.sub("", name)
    if known := kernel_precision(tactic):
        return known
    if found := MULTIPLIED.search(tactic):
        return NAMES[found[1]]
    found = READ.search(tactic)
    if found and NAMES[found[1]] != "fp32":
        return NAMES[found[1]]
    if is_generated(tactic):
        return None
    return next((precision for precision, pattern in WORDS if pattern.search(tactic)), None)


def _precision_of_inputs(layer: Mapping[str, Any]) -> str:
    inputs = layer.get("Inputs")
    for tensor in inputs if isinstance(inputs, list) else ():
        if not isinstance(tensor, dict):
            continue
        words = " ".join(_word(tensor, key) for key in ("DataType", "Datatype", "Format/Datatype"))
        for precision, pattern in FORMATS:
            if pattern.search(words):
                return precision
    return "unknown"


def _word(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""
