"""ONNX Runtime's CUDA provider, as far as it can be checked without a GPU: options, and what is not possible."""

from __future__ import annotations

from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import feasibility
from bench.contract import Device, Proof, Recipe, Runtime, Slot
from bench.runtimes import onnxruntime_gpu
from bench.runtimes.cuda_slot import CudaPlace
from bench.runtimes.onnx import fp16 as onnx_fp16
from bench.runtimes.onnx.kernels import read_kernels
from bench.runtimes.onnx.proof import read_profile
from bench.runtimes.onnx.session import CPU
from bench.runtimes.onnxruntime_gpu import CUDA, OnnxRuntimeCuda, cuda_options, session_detail
from bench.runtimes.onnxruntime_tensorrt import LIBRARY, OnnxRuntimeTensorrt
from tests.runtimes.onnxruntime_pretended import ON_CUDA, UserFile, gpu, pretended_gpu, pretended_place, user_file
from tests.runtimes.test_onnx_proof import recorded
from workloads.glyphs import Glyphs

SLOT = Slot(index=0, threads=1)


@pytest.fixture
def workload(tmp_path: Path) -> UserFile:
    return user_file(tmp_path)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> CudaPlace:
    return pretended_place(monkeypatch)[0]


def test_fp32_is_not_tf32_and_work_stays_on_the_slots_stream(place: CudaPlace) -> None:
    options = cuda_options(place)
    assert options["use_tf32"] == "0" and options["user_compute_stream"] == "77"
    assert cuda_options(place, tf32=True)["use_tf32"] == "1", "or fp16 convolutions would lose their tensor cores"
    assert all(isinstance(value, str) for value in options.values())


@pytest.mark.parametrize("tf32", ["0", "1"])
def test_a_session_that_says_it_uses_tf32_is_an_error(tf32: str) -> None:
    reported = {CUDA: {"use_tf32": tf32, "cudnn_conv_algo_search": "EXHAUSTIVE", "user_compute_stream": "77"}}
    session = SimpleNamespace(get_provider_options=lambda: reported)
    if tf32 == "1":
        with pytest.raises(RuntimeError, match="told not to use TF32"):
            session_detail(session, SLOT, {})
        return
    detail = session_detail(session, SLOT, {"sm_count": 16})
    assert (detail["use_tf32"], detail["cudnn_conv_algo_search"], detail["sm_count"]) == ("0", "EXHAUSTIVE", 16)


@pytest.mark.parametrize(
    ("kernels", "precision", "told"),
    [
        # As cuBLAS and cuDNN call them; the traces are made up.
        (["ampere_sgemm_128x32_sliced1x4_nn", "void cudnn::ops::nchwToNhwcKernel<float>"], "fp32", {"fp32": 1}),
        (
            ["ampere_sgemm_128x32_sliced1x4_nn", "sm80_xmma_gemm_f32f32_tf32f32_f32_tn_n_tilesize128x128x16_stage4"],
            "tf32",
            {"fp32": 1, "tf32": 1},
        ),
        ([], "fp32", {}),
    ],
)
def test_one_kernel_in_tf32_and_it_is_not_fp32(kernels: list[str], precision: str, told: dict[str, int]) -> None:
    trace = {"traceEvents": [{"cat": "kernel", "name": name} for name in kernels]}
    proof = read_kernels(read_profile(recorded("ort_cuda"), {}, CUDA), trace)
    assert (proof.precision, proof.detail["kernels"], proof.operators) == (precision, told, {"fp32": 3})


def test_other_precisions_stay_as_the_profile_has_them() -> None:
    trace = {"traceEvents": [{"cat": "kernel", "name": "sm80_xmma_gemm_f32f32_tf32f32_f32_tn_n_tilesize128x128x16"}]}
    for precision in ("fp16", f"fp32 on {CPU}"):
        assert read_kernels(Proof(precision), trace).precision == precision


@pytest.mark.parametrize("runtime", [OnnxRuntimeCuda(), OnnxRuntimeTensorrt()])
def test_it_does_not_execute_on_a_cpu(runtime: Runtime, workload: UserFile, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="asked to execute on a CPU"),
        runtime.load(Recipe(workload), tmp_path, SLOT),
    ):
        pass


def test_it_loads_the_users_file_with_cuda_before_the_cpu(
    workload: UserFile,
    tmp_path: Path,
    place: CudaPlace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[tuple[Any, ...]] = []

    def pretended_session(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return SimpleNamespace(get_provider_options=lambda: {CUDA: {"use_tf32": "0"}})

    monkeypatch.setattr(onnxruntime_gpu, "on_gpu", partial(pretended_gpu, place))
    monkeypatch.setattr(onnxruntime_gpu, "open_session", pretended_session)
    runtime = OnnxRuntimeCuda()
    runtime.build(Recipe(workload), tmp_path, 4, ON_CUDA)
    with runtime.load(Recipe(workload), tmp_path, ON_CUDA) as loaded:
        assert loaded.stream is place.stream
    path, providers, threads = opened[0]
    assert (path, list(providers), threads) == (workload.path, [CUDA, CPU], 1)


def test_fp16_is_a_converted_graph(workload: UserFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    monkeypatch.setattr(onnx_fp16, "to_fp16", lambda source, target: converted.append((source, target)))
    OnnxRuntimeCuda("fp16").build(Recipe(workload), tmp_path / "built", 4, ON_CUDA)
    assert converted == [(workload.path, tmp_path / "built" / "model.onnx")] and workload.path.exists()


# --- what is not possible ---------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of distributions, as if they were installed."""
    versions = {"torch": "2.13.0", "onnxruntime-gpu": "1.31.1"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(feasibility, "importable", lambda name: True)
    return versions


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gpu_with_its_onnx_runtime_will_do(precision: Any) -> None:
    assert OnnxRuntimeCuda(precision).infeasible(Glyphs(), gpu((9, 0))) is None
    assert OnnxRuntimeCuda(precision).infeasible(Glyphs(), gpu(None)) is None


@pytest.mark.usefixtures("installed")
def test_what_is_no_gpu_or_too_old_will_not() -> None:
    runtime = OnnxRuntimeCuda()
    cpu = Device(kind="cpu", name="a CPU", cpus=(0,), memory_bytes=1)
    assert "needs an NVIDIA GPU" in str(runtime.infeasible(Glyphs(), cpu))
    assert "only rehearsed" in str(runtime.infeasible(Glyphs(), gpu(rehearsal=True)))
    assert "needs compute capability 7.5, and a GPU has 7.0" in str(runtime.infeasible(Glyphs(), gpu((7, 0))))


@pytest.mark.parametrize(
    ("distributions", "reason"),
    [
        ({"onnxruntime": "1.31.1"}, "needs onnxruntime-gpu in the place of onnxruntime"),
        ({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}, "overwrite each other's files"),
        ({"torch": "2.13.0+cpu", "onnxruntime-gpu": "1.31.1"}, "torch 2.13.0+cpu has no CUDA"),
    ],
)
def test_the_wrong_libraries_will_not(installed: dict[str, str], distributions: dict[str, str], reason: str) -> None:
    del installed["onnxruntime-gpu"]
    installed.update(distributions)
    assert reason in str(OnnxRuntimeCuda().infeasible(Glyphs(), gpu((9, 0))))
    assert reason in str(OnnxRuntimeTensorrt().infeasible(Glyphs(), gpu((9, 0))))


@pytest.mark.usefixtures("installed")
def test_fp16_needs_what_converts_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feasibility, "importable", lambda name: name != "modelopt")
    assert "needs nvidia-modelopt" in str(OnnxRuntimeCuda("fp16").infeasible(Glyphs(), gpu((9, 0))))
    assert OnnxRuntimeCuda().infeasible(Glyphs(), gpu((9, 0))) is None


@pytest.mark.usefixtures("installed")
def test_int8_is_possible_nowhere() -> None:
    assert "no CUDA kernels for QLinearConv" in str(OnnxRuntimeCuda("int8").infeasible(Glyphs(), gpu((9, 0))))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("library", [None, "libnvinfer.so.11"])
def test_tensorrt_must_be_of_the_version_that_onnx_runtime_is_linked_with(
    library: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ctypes.util
    import importlib.util

    package = tmp_path / "tensorrt_libs"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: library)
    if library:
        (package / library).touch()
    assert "needs TensorRT 10" in str(OnnxRuntimeTensorrt().infeasible(Glyphs(), gpu((9, 0))))
    (package / LIBRARY).touch()
    assert OnnxRuntimeTensorrt().infeasible(Glyphs(), gpu((9, 0))) is None
