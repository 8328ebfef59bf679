"""ONNX Runtime on an NVIDIA GPU, with its CUDA execution provider.

What the provider has no kernel for runs on the CPU, as ONNX Runtime always adds its CPU provider; the proof tells what
that was. In a green context, ONNX Runtime makes the GPU's primary context the current one whenever it runs
(cudaSetDevice): its work stays in the green one because the stream belongs there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.contract import Device, Loaded, Recipe, Runtime, Slot, Workload, plugin
from bench.feasibility import missing, needs_cuda
from bench.runtimes.cuda_slot import CudaPlace, on_slot
from bench.runtimes.onnx.kernels import CudaLoaded
from bench.runtimes.onnx.session import CPU, Providers, export_infeasible, graph_path, open_session, write_graph

CUDA = "CUDAExecutionProvider"
CAPABILITY = (7, 5)
"""The oldest compute capability that the libraries of onnxruntime-gpu 1.31 hold code for."""
NO_INT8 = (
    "ONNX Runtime 1.31 has no CUDA kernels for QLinearConv, QLinearMatMul and QGemm, so a Q/DQ graph would run in fp32 "
    "or fp16 between its pairs (docs/FAQ.md and issue 24807 of microsoft/onnxruntime); int8 on a GPU needs TensorRT"
)


@plugin
class OnnxRuntimeCuda(Runtime):
    """`precision`: "fp16" converts the graph, "int8" is known to be impossible."""

    kinds: ClassVar[frozenset[str]] = frozenset({"torch", "onnx"})
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "torch")

    precision: Literal["fp32", "fp16", "int8"] = "fp32"

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        if self.precision == "int8":
            return NO_INT8
        if reason := gpu_infeasible(workload, device):
            return reason
        return missing(("modelopt",), "converting the graph to fp16") if self.precision == "fp16" else None

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        if self.precision == "fp32":
            write_graph(recipe, folder)
            return
        from bench.runtimes.onnx.fp16 import to_fp16

        write_graph(recipe, folder, to_fp16)

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        tf32 = self.precision != "fp32"  # off, its convolutions are kept from tensor cores, in fp16 as well
        if not tf32:
            # ONNX Runtime tries convolutions again with TF32 where cuDNN finds none without.
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        with on_gpu(slot) as place:
            where = place.detail()  # now: the green context is no longer current once ONNX Runtime has run
            providers: Providers = {CUDA: cuda_options(place, tf32), CPU: {}}
            new_session = partial(open_session, graph_path(recipe, folder), providers, slot.threads)
            session = new_session()
            yield CudaLoaded(session, new_session, place, CUDA, session_detail(session, slot, where, tf32))


def gpu_infeasible(workload: Workload, device: Device, provider: str = "CUDA") -> str | None:
    """(conductor) Why ONNX Runtime's `provider` cannot execute the workload on this device's GPU; None if it can.

    Asked whether it has a CUDA provider, the library would say what it was built with, not what works."""
    if reason := needs_cuda(device, CAPABILITY, f"ONNX Runtime's {provider} provider"):
        return reason
    installed = [name for name in ("onnxruntime-gpu", "onnxruntime") if _is_installed(name)]
    if "onnxruntime-gpu" not in installed:
        return "needs onnxruntime-gpu in the place of onnxruntime, and it is not installed"
    if len(installed) > 1:
        return "onnxruntime and onnxruntime-gpu overwrite each other's files, and both are installed"
    return export_infeasible(workload)


@contextmanager
def on_gpu(slot: Slot) -> Iterator[CudaPlace]:
    """As `on_slot`; RuntimeError on a CPU."""
    with on_slot(slot) as place:
        if not isinstance(place, CudaPlace):
            raise RuntimeError("ONNX Runtime's CUDA provider was asked to execute on a CPU")
        yield place


def cuda_options(place: CudaPlace, tf32: bool = False) -> dict[str, str]:
    """Of the CUDA provider. It would use TF32 for fp32 by default, and a stream of its own."""
    return {
        "device_id": "0",
        "user_compute_stream": str(place.stream.handle),
        "use_tf32": str(int(tf32)),
        "cudnn_conv_algo_search": "EXHAUSTIVE",  # its default, cuDNN's more careful heuristic; none is timed
    }


def session_detail(session: Any, slot: Slot, where: Mapping[str, Any], tf32: bool = False) -> dict[str, Any]:
    """For the proof: what the session says of itself. RuntimeError where it uses TF32 all the same."""
    import onnxruntime as ort

    reported = session.get_provider_options()[CUDA]
    if not tf32 and reported.get("use_tf32", "0") != "0":
        raise RuntimeError("ONNX Runtime was told not to use TF32, and says that it does")
    told = {name: reported.get(name) for name in ("use_tf32", "cudnn_conv_algo_search")}
    return {"onnxruntime": ort.__version__, "threads": slot.threads, **where, **told}


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
