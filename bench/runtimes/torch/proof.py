"""Which heavy operators torch really ran, and in which precision, read from the profiler's trace.

An operator's precision is that of its first typed argument, the activations, as torch's dispatcher saw it. On a GPU
that is not all: the same fp32 arguments may be multiplied in TF32. There the name of the kernel that the operator
launched decides, where it tells the precision.

Compiled code is visible here too: on CPUs Inductor calls matrix products and convolutions as library kernels, through
torch's dispatcher, and what it fuses into its own loops is pointwise work and, rarely, a tiny product; neither decides
the precision. On GPUs it may write products in Triton, and records them under their own names with their arguments.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import Proof
from bench.runtimes.kernel_names import kernel_precision
from bench.runtimes.proofs import proof

Event = Mapping[str, Any]

HEAVY = frozenset(
    {
        # Leaves only: aten::linear or aten::conv2d end in one of these and would count twice.
        "aten::mm",
        "aten::addmm",
        "aten::_addmm_activation",
        "aten::bmm",
        "aten::baddbmm",
        "aten::mv",
        "aten::addmv",
        "aten::dot",
        "aten::_int_mm",
        "aten::_scaled_mm",
        "aten::_scaled_mm_v2",
        "aten::_weight_int4pack_mm",
        "aten::_weight_int4pack_mm_for_cpu",
        "aten::_cslt_sparse_mm",
        "aten::mkldnn_convolution",
        "aten::mkldnn_linear",
        "aten::_slow_conv2d_forward",
        "aten::slow_conv3d_forward",
        "aten::_conv_depthwise2d",
        "aten::_nnpack_spatial_convolution",
        "aten::thnn_conv2d",
        "aten::cudnn_convolution",
        "aten::cudnn_convolution_transpose",
        "aten::cudnn_convolution_relu",
        "aten::cudnn_convolution_add_relu",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention",
        "aten::_scaled_dot_product_efficient_attention",
        "aten::_scaled_dot_product_cudnn_attention",
    }
)
HEAVY_PREFIXES = ("aten::_sparse_semi_structured_", "triton_tem_")
"""CUTLASS on 2:4 sparse weights; what Inductor makes of its templates, which are of products and convolutions."""
HEAVY_NAMESPACES = ("mkldnn::", "mkldnn_prepacked::", "mkl::", "onednn::q", "quantized::")
HEAVY_WORDS = ("linear", "conv", "mm", "matmul")
"""Backend namespaces hold other operators too (packing weights, quantising): the name must say product."""

PRECISIONS = {
    "float": "fp32",
    "double": "fp64",
    "c10::BFloat16": "bf16",
    "c10::Half": "fp16",
    "c10::Float8_e4m3fn": "fp8",
    "c10::Float8_e5m2": "fp8",
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
UNKNOWN = "unknown"
INT4_WORDS = ("int4pack", "int4mm")
"""In names of operators that multiply by int4 weights; their arguments are in the wider format."""

LAUNCHES = ("cuda_runtime", "cuda_driver")
LONGEST_KERNELS = 10
KERNEL_NAME_LENGTH = 120


@dataclass(frozen=True)
class Operator:
    """A heavy operator that ran once. `dtype`: the precision of its arguments; `kernels` on a GPU, longest first."""

    name: str
    dtype: str
    kernels: tuple[Event, ...] = ()

    @property
    def main(self) -> str | None:
        """Name of the longest kernel whose name tells a precision, as others lay out data anew; else of the longest."""
        names = [kernel["name"] for kernel in self.kernels]
        return next((name for name in names if kernel_precision(name)), names[0] if names else None)

    @property
    def named(self) -> str | None:
        return kernel_precision(self.main) if self.main else None

    @property
    def precision(self) -> str:
        if any(word in self.name for word in INT4_WORDS):
            return "int4wo"
        if "_sparse_semi_structured_" in self.name or "_cslt_sparse_" in self.name:
            return f"{self.dtype}_2to4"
        return self.named or self.dtype


def is_heavy(name: str) -> bool:
    """Whether an operator is a matrix product or a convolution."""
    if name in HEAVY or name.startswith(HEAVY_PREFIXES):
        return True
    if not name.startswith(HEAVY_NAMESPACES) or "prepack" in name.split("::")[-1]:
        return False
    return any(word in name for word in HEAVY_WORDS)


def profiled(call: Callable[[], Any]) -> Mapping[str, Any]:
    """The profiler's trace of one call, after one call that is not recorded.

    torch.profiler.profile is this with a schedule around it, and imports all of Inductor when it starts: a second.
    """
    import torch
    from torch.autograd.profiler import profile

    on_cuda = torch.cuda.is_initialized()
    call()
    if on_cuda:
        torch.cuda.synchronize()
    # Without Kineto it would record no kernels, and say nothing of it.
    with profile(record_shapes=True, use_device="cuda" if on_cuda else None, use_kineto=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        trace: Mapping[str, Any] = json.loads(path.read_text())
    return trace


def read_trace(
    trace: Mapping[str, Any], detail: Mapping[str, Any], unseen: Mapping[tuple[str, str], int] | None = None
) -> Proof:
    """The proof in a trace.

    `unseen`: heavy operators that ran without passing torch's dispatcher, counted by (name, precision).
    """
    operators = heavy_operators(trace)
    counts = Counter(unseen or {})
    counts.update((operator.name, operator.precision) for operator in operators)
    on_gpu = {}
    if kernels(trace):
        told_by_dtype = sum(operator.named is None for operator in operators)
        on_gpu = {"kernels": longest(kernels(trace)), "told_by_dtype_alone": told_by_dtype}
    return proof(counts, {**detail, **on_gpu})


def heavy_operators(trace: Mapping[str, Any]) -> list[Operator]:
    """Heavy operators that were not called by another heavy one, as `_slow_conv2d_forward` is by `thnn_conv2d`.

    A trace has no parents; on one thread, what begins before another's end is inside it (times in microseconds).
    """
    found = [event for event in trace["traceEvents"] if event.get("cat") == "cpu_op" and is_heavy(event["name"])]
    outermost: list[Event] = []
    latest: dict[Any, Event] = {}  # by thread
    for event in sorted(found, key=lambda event: (event["ts"], -event["dur"])):
        around = latest.get(event["tid"])
        if around is None or event["ts"] >= _end_us(around):
            latest[event["tid"]] = event
            outermost.append(event)
    launched = launched_by(outermost, trace)
    return [_operator(event, launched[index]) for index, event in enumerate(outermost)]


def launched_by(operators: Sequence[Event], trace: Mapping[str, Any]) -> list[list[Event]]:
    """The kernels of each operator: those whose launch, a call of CUDA, falls between its begin and its end.

    An "External id" is not enough: depending on its version the profiler gives kernels that of the operator, that of
    the launch, or none."""
    launches = {_link(event): event for event in trace["traceEvents"] if event.get("cat") in LAUNCHES}
    launched: list[list[Event]] = [[] for _ in operators]
    for kernel in kernels(trace):
        launch = launches.get(_link(kernel))
        for operator, mine in zip(operators, launched, strict=True):
            if launch and launch["tid"] == operator["tid"] and operator["ts"] <= launch["ts"] < _end_us(operator):
                mine.append(kernel)
    return launched


def kernels(trace: Mapping[str, Any]) -> list[Event]:
    return [event for event in trace["traceEvents"] if event.get("cat") == "kernel"]


def longest(ran: Iterable[Event]) -> list[dict[str, Any]]:
    """The kernels that took most of the time, all launches of one name together."""
    times_us: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for kernel in ran:
        times_us[kernel["name"]] += kernel["dur"]
        counts[kernel["name"]] += 1
    return [
        {"name": name[:KERNEL_NAME_LENGTH], "count": counts[name], "total_us": total_us}
        for name, total_us in times_us.most_common(LONGEST_KERNELS)
    ]


def _operator(event: Event, launched: Iterable[Event]) -> Operator:
    types = event.get("args", {}).get("Input type", ())
    dtype = next((PRECISIONS[t] for t in types if isinstance(t, str) and t in PRECISIONS), UNKNOWN)
    return Operator(event["name"], dtype, tuple(sorted(launched, key=lambda kernel: -kernel["dur"])))


def _end_us(event: Event) -> float:
    return float(event["ts"] + event["dur"])


def _link(event: Event) -> Any:
    """What a kernel and its launch have in common."""
    return event.get("args", {}).get("correlation")
