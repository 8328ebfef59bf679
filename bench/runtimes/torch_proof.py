"""Which heavy operators torch really ran, and in which precision, read from the profiler's trace.

Compiled code is visible here too: on CPUs Inductor calls matrix products and convolutions as library kernels,
through torch's dispatcher, where the profiler records them with the dtypes of their arguments. What it fuses
into its own loops is pointwise work and, rarely, a tiny product; neither decides the precision.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.contract import Proof

HEAVY = frozenset(
    {
        # Leaves only: aten::linear or aten::conv2d end in one of these and would count twice.
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
        "aten::baddbmm",
        "aten::mv",
        "aten::addmv",
        "aten::dot",
        "aten::_int_mm",
        "aten::_scaled_mm",
        "aten::mkldnn_convolution",
        "aten::mkldnn_linear",
        "aten::_slow_conv2d_forward",
        "aten::slow_conv3d_forward",
        "aten::_conv_depthwise2d",
        "aten::_nnpack_spatial_convolution",
        "aten::thnn_conv2d",
        "aten::cudnn_convolution",
        "aten::cudnn_convolution_relu",
        "aten::cudnn_convolution_add_relu",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention",
        "aten::_scaled_dot_product_efficient_attention",
        "aten::_scaled_dot_product_cudnn_attention",
    }
)
HEAVY_NAMESPACES = ("mkldnn::", "mkldnn_prepacked::", "mkl::", "onednn::q", "quantized::")
HEAVY_WORDS = ("linear", "conv", "mm", "matmul")
"""Backend namespaces hold other operators too (packing weights, quantising): the name must say product."""

PRECISIONS = {
    "float": "fp32",
    "double": "fp64",
    "c10::BFloat16": "bf16",
    "c10::Half": "fp16",
    "signed char": "int8",
    "unsigned char": "int8",
    "c10::qint8": "int8",
    "c10::quint8": "int8",
    "float32": "fp32",
    "float64": "fp64",
    "bfloat16": "bf16",
    "float16": "fp16",
    "int8": "int8",
    "uint8": "int8",
}


def is_heavy(name: str) -> bool:
    """Whether an operator is a matrix product or a convolution."""
    if name in HEAVY:
        return True
    if not name.startswith(HEAVY_NAMESPACES) or "prepack" in name.split("::")[-1]:
        return False
    return any(word in name for word in HEAVY_WORDS)


def profiled(call: Callable[[], Any]) -> Mapping[str, Any]:
    """The profiler's trace of one call, after one call that is not recorded.

    torch.profiler.profile is this with a schedule around it, and imports all of Inductor when it starts: a second.
    """
    from torch.autograd.profiler import profile

    call()
    with profile(record_shapes=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        trace: Mapping[str, Any] = json.loads(path.read_text())
    return trace


def read_trace(
    trace: Mapping[str, Any], detail: Mapping[str, Any], unseen: Mapping[tuple[str, str], int] | None = None
) -> Proof:
    """The proof in a trace. An operator's precision is that of its first typed argument, the activations.

    `unseen`: heavy operators that ran without passing torch's dispatcher, counted by (name, precision).
    """
    precisions: Counter[str] = Counter()
    operators: Counter[str] = Counter()
    for (name, precision), count in (unseen or {}).items():
        precisions[precision] += count
        operators[f"{name} {precision}"] += count
    for event in outermost_heavy(trace["traceEvents"]):
        types = event.get("args", {}).get("Input type", ())
        found = next((PRECISIONS[t] for t in types if isinstance(t, str) and t in PRECISIONS), "unknown")
        precisions[found] += 1
        operators[f"{event['name']} {found}"] += 1
    return Proof(
        precision=majority(precisions),
        operators=dict(precisions),
        detail={**detail, "heavy": dict(operators)},
    )


def outermost_heavy(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Heavy operators that were not called by another heavy one, as `_slow_conv2d_forward` is by
    `thnn_conv2d`.

    A trace has no parents; on one thread, what begins before another's end is inside it (times in
    microseconds).
    """
    heavy = [event for event in events if event.get("cat") == "cpu_op" and is_heavy(event["name"])]
    ends_us: dict[Any, float] = {}
    for event in sorted(heavy, key=lambda event: (event["ts"], -event["dur"])):
        if event["ts"] < ends_us.get(event["tid"], float("-inf")):
            continue
        ends_us[event["tid"]] = event["ts"] + event["dur"]
        yield event


def majority(counts: Mapping[str, int]) -> str:
    """The precision of most operators; "none" when no heavy operator ran, which no optimization expects."""
    return max(sorted(counts), key=lambda precision: counts[precision]) if counts else "none"
