"""Proof of ONNX Runtime on a GPU: its own profile of nodes, and the names of the kernels that the GPU executed.

The profile knows the types of tensors. It does not know whether fp32 was multiplied in TF32, nor what ran inside of an
engine of the TensorRT provider, which builds engines without the detail that would tell. CUDA's profiling interface,
which torch's profiler reads, names every kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.contract import Arrays, Proof
from bench.runtimes.kernel_names import is_heavy_kernel, kernel_precision
from bench.runtimes.onnx.binding import BoundLoaded
from bench.runtimes.onnx.proof import read_profile
from bench.runtimes.proofs import majority
from bench.runtimes.proofs import proof as counted
from bench.runtimes.tensorrt.proof import precision_of_tactic
from bench.runtimes.torch.proof import profiled


@dataclass(frozen=True)
class CudaLoaded(BoundLoaded):
    def prove(self, inputs: Arrays) -> Proof:
        return read_kernels(BoundLoaded.prove(self, inputs), profiled(self.bind(inputs)))


@dataclass(frozen=True)
class EnginesLoaded(BoundLoaded):
    def prove(self, inputs: Arrays) -> Proof:
        return read_engines(self.profile(inputs), profiled(self.bind(inputs)), self.detail, self.provider)


def read_kernels(proof: Proof, trace: Mapping[str, Any]) -> Proof:
    """The proof in a profile, with what kernels in a trace tell: one in TF32 is enough for it not to be fp32."""
    told = Counter(filter(None, map(kernel_precision, kernel_names(trace))))
    precision = "tf32" if proof.precision == "fp32" and "tf32" in told else proof.precision
    return replace(proof, precision=precision, detail={**proof.detail, "kernels": dict(told)})


def read_engines(
    events: list[dict[str, Any]], trace: Mapping[str, Any], detail: Mapping[str, Any], provider: str
) -> Proof:
    """The proof in ONNX Runtime's profile (what ran outside of the engines) and a trace of torch's profiler (kernels).

    A heavy operator outside of the engines decides the precision, as in `read_profile`."""
    outside = read_profile(events, detail, provider)
    names = filter(is_heavy_kernel, kernel_names(trace))
    kernels = Counter((name, precision_of_tactic(name) or "unknown") for name in names)
    inside = counted(kernels, {**outside.detail, "precision_from": "names of the kernels that ran"}, outside.providers)
    return replace(
        inside,
        precision=majority(outside.operators or inside.operators),
        operators={**outside.operators, **inside.operators},
    )


def kernel_names(trace: Mapping[str, Any]) -> list[str]:
    return [event["name"] for event in trace["traceEvents"] if event.get("cat") == "kernel"]
