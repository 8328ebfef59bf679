"""ONNX Runtime on an NVIDIA GPU, with its TensorRT execution provider.

The provider turns what TensorRT understands into engines; the rest is for the CUDA provider. That of onnxruntime-gpu
1.31 is linked with TensorRT 10 (libnvinfer.so.10), which cannot share an environment with TensorRT 11. It creates its
networks without flags, so weakly typed: with `trt_fp16_enable` TensorRT chooses fp16 where that is fast, whatever types
the graph has. The graph proves nothing then, and the kernels that ran are asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from bench.contract import Arrays, Device, Loaded, Recipe, Runtime, Slot, Workload, importable, plugin
from bench.runtimes.cuda_slot import CudaPlace
from bench.runtimes.onnx.kernels import EnginesLoaded
from bench.runtimes.onnx.session import CPU, Providers, graph_path, open_session, write_graph
from bench.runtimes.onnxruntime_gpu import CUDA, cuda_options, gpu_infeasible, on_gpu, session_detail

TENSORRT = "TensorrtExecutionProvider"
LIBRARY = "libnvinfer.so.10"
PACKAGE = "tensorrt_libs"
"""Where TensorRT's wheels put its libraries; its import loads them."""


@plugin
class OnnxRuntimeTensorrt(Runtime):
    """Engines in fp16 for one batch size, built on a slot like those that they run in."""

    kinds: ClassVar[frozenset[str]] = frozenset({"torch", "onnx"})
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "torch")
    batch_specific: ClassVar[bool] = True
    slot_specific: ClassVar[bool] = True

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        reason = gpu_infeasible(workload, device, "TensorRT")
        if reason is None and not _has_tensorrt():
            return f"ONNX Runtime 1.31 needs TensorRT 10, whose {LIBRARY} is not found"
        return reason

    def build(self, recipe: Recipe, folder: Path, batch_size: int, slot: Slot) -> None:
        write_graph(recipe, folder, partial(_fix_shapes, inputs=recipe.workload.inputs(batch_size, seed=0)))
        with on_gpu(slot) as place:
            _open(recipe, folder, slot, place)
        if not _engines(folder):
            raise RuntimeError("TensorRT took no part of the graph: no engine was written")

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        with on_gpu(slot) as place:
            where = place.detail()
            built = _engines(folder)
            new_session = partial(_open, recipe, folder, slot, place)
            session = new_session()
            if anew := _engines(folder) - built:
                for name, *_ in anew:  # or the next tenant would take them for the artifact's
                    (folder / name).unlink()
                raise RuntimeError("TensorRT built an engine anew: those of the artifact do not fit this slot")
            yield EnginesLoaded(session, new_session, place, TENSORRT, session_detail(session, slot, where))


def _open(recipe: Recipe, folder: Path, slot: Slot, place: CudaPlace, profile_prefix: str | None = None) -> Any:
    """Shapes are fixed, so engines are built when a session is made, unless they are in `folder` already."""
    if importable(PACKAGE):
        import_module(PACKAGE)
    tensorrt = {
        "device_id": "0",
        "user_compute_stream": str(place.stream.handle),
        "trt_fp16_enable": "True",  # the Python binding takes these words only, and no digits
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
    }
    if place.green:
        # Streams that TensorRT makes itself would belong to the whole device.
        tensorrt["trt_auxiliary_streams"] = "0"
    providers: Providers = {TENSORRT: tensorrt, CUDA: cuda_options(place), CPU: {}}
    return open_session(graph_path(recipe, folder), providers, slot.threads, profile_prefix)


def _fix_shapes(source: Path, target: Path, inputs: Arrays) -> None:
    """Otherwise an engine is built at the first call, for ranges of shapes that grow with what is seen."""
    import onnx
    from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

    from bench.runtimes.onnx.modelopt import save

    model = onnx.load(source)
    for name, array in inputs.items():
        make_input_shape_fixed(model.graph, name, list(array.shape))
    save(model, target)


def _engines(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Names, sizes and times of change of the engines in `folder`."""
    return frozenset((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.glob("*.engine"))


def _has_tensorrt() -> bool:
    """Whether the library is in TensorRT's wheel, or where the system's loader looks."""
    import ctypes.util
    import importlib.util

    package = importlib.util.find_spec(PACKAGE)
    folders = package.submodule_search_locations if package else None
    if any((Path(folder) / LIBRARY).exists() for folder in folders or ()):
        return True
    return ctypes.util.find_library("nvinfer") == LIBRARY
