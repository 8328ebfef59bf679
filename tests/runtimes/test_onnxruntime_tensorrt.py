"""ONNX Runtime's TensorRT provider: engines are files that stand-ins write, kernels are names that others recorded."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.contract import Recipe
from bench.runtimes import onnxruntime_tensorrt
from bench.runtimes.onnx.kernels import read_engines
from bench.runtimes.onnx.session import CPU, open_session
from bench.runtimes.onnxruntime_gpu import CUDA
from bench.runtimes.onnxruntime_tensorrt import TENSORRT, OnnxRuntimeTensorrt
from tests.runtimes.onnxruntime_pretended import ON_CUDA, UserFile, pretended_gpu, pretended_place, user_file
from tests.runtimes.test_onnx_proof import recorded


@pytest.fixture
def workload(tmp_path: Path) -> UserFile:
    return user_file(tmp_path)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Sessions that write the engine `written`, and keep the options of their providers."""
    state: dict[str, Any] = {"written": b"an engine"}

    def pretended_session(path: Path, providers: Any, threads: int, prefix: str | None) -> Any:
        state["providers"] = providers
        folder = Path(providers[TENSORRT]["trt_engine_cache_path"])
        if state["written"]:
            (folder / "TensorrtExecutionProvider_TRTKernel_graph_main_1_0_0_fp16_sm90.engine").write_bytes(
                state["written"]
            )
        return SimpleNamespace(get_provider_options=lambda: {CUDA: {}})

    monkeypatch.setattr(onnxruntime_tensorrt, "on_gpu", partial(pretended_gpu, pretended_place(monkeypatch)[0]))
    monkeypatch.setattr(onnxruntime_tensorrt, "open_session", pretended_session)
    return state


def test_engines_are_built_beforehand_for_shapes_that_are_fixed(
    workload: UserFile,
    tmp_path: Path,
    engines: dict[str, Any],
) -> None:
    folder = tmp_path / "built"
    folder.mkdir()
    runtime, recipe = OnnxRuntimeTensorrt(), Recipe(workload)
    runtime.build(recipe, folder, 4, ON_CUDA)
    assert list(engines["providers"]) == [TENSORRT, CUDA, CPU]
    options = engines["providers"][TENSORRT]
    assert options["user_compute_stream"] == engines["providers"][CUDA]["user_compute_stream"] == "77"
    assert options["trt_fp16_enable"] == options["trt_engine_cache_enable"] == "True"
    sessions = [open_session(path, {CPU: {}}, 1) for path in (folder / "model.onnx", workload.path)]
    assert [session.get_inputs()[0].shape for session in sessions] == [[4, 16], ["batch", 16]]
    fixed, as_given = (session.run(None, workload.inputs(4, seed=1))[0] for session in sessions)
    assert np.array_equal(fixed, as_given)

    engines["written"] = b""
    with runtime.load(recipe, folder, ON_CUDA) as loaded:
        assert loaded.stream is not None


def test_a_graph_that_tensorrt_takes_no_part_of_is_an_error(
    workload: UserFile,
    tmp_path: Path,
    engines: dict[str, Any],
) -> None:
    engines["written"] = b""
    folder = tmp_path / "built"
    folder.mkdir()
    with pytest.raises(RuntimeError, match="no engine was written"):
        OnnxRuntimeTensorrt().build(Recipe(workload), folder, 4, ON_CUDA)


def test_an_engine_that_is_built_anew_while_loading_is_an_error(
    workload: UserFile,
    tmp_path: Path,
    engines: dict[str, Any],
) -> None:
    folder = tmp_path / "built"
    folder.mkdir()
    runtime, recipe = OnnxRuntimeTensorrt(), Recipe(workload)
    runtime.build(recipe, folder, 4, ON_CUDA)
    engines["written"] = b"another engine"
    with pytest.raises(RuntimeError, match="built an engine anew"), runtime.load(recipe, folder, ON_CUDA):
        pass
    assert not list(folder.glob("*.engine")), "the next tenant would take it for the artifact's"


KERNELS = {
    # Names of kernels that others saw TensorRT execute (reports of Nsight Systems in public repositories).
    "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize256x64x32_stage3_warpsize4x1x1": "fp16",
    "sm80_xmma_gemm_f16f16_f16f32_f32_nn_n_tilesize160x128x32_stage4_warpsize2x2x1_tensor16x8x16": "fp16",
    "trt_ampere_h16816gemm_128x64_ldg8_nn_v1": "fp16",
    "trt_turing_h1688gemm_128x128_ldg8_relu_tn_v1": "fp16",
    "turing_h1688cudnn_256x128_ldg8_relu_exp_medium_nhwc_tn_v1": "fp16",
    "sm80_xmma_fprop_implicit_gemm_indexed_wo_smem_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x32x16": "tf32",
    "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x16_stage4": "tf32",
    "ampere_scudnn_winograd_128x128_ldg1_ldg4_mobile_relu_tile148t_nt_v1": "fp32",
    "_gemm_mha_v2_0x769fb0c0640f6e6673daebed40d884a2": "unknown",
    "generatedNativePointwise": None,
    "void CUTENSOR_NAMESPACE::permutationKernelPLC3<CUTENSOR_NAMESPACE::VectorWrite2D>": None,
    "void genericReformat::copyPackedKernel<float, __half, true, true>": None,
    "__myl_SiluMul_0x15a2": None,
}


def trace(*names: str) -> dict[str, Any]:
    """Made up, as torch's profiler exports traces."""
    kernels = [{"ph": "X", "cat": "kernel", "name": name, "ts": 1.0, "dur": 2.0} for name in names]
    return {"traceEvents": [{"ph": "M", "name": "process_name"}, {"cat": "gpu_memcpy", "name": "Memcpy"}, *kernels]}


def one_engine() -> list[dict[str, Any]]:
    """Made up: ONNX Runtime's profile of a graph that is one engine."""
    args = {"op_name": "TRTKernel_graph_main_1_0", "provider": TENSORRT, "input_type_shape": [{"float": [4, 16]}]}
    return [{"cat": "Node", "name": "TRTKernel_graph_main_1_0_kernel_time", "args": args}]


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_tell_what_they_multiply(name: str) -> None:
    expected = KERNELS[name]
    assert read_engines(one_engine(), trace(name), {}, TENSORRT).operators == ({expected: 1} if expected else {})


def test_most_kernels_in_engines_decide_the_precision() -> None:
    proof = read_engines(one_engine(), trace(*KERNELS), {"onnxruntime": "1.31.1"}, TENSORRT)
    assert (proof.precision, proof.providers) == ("fp16", {TENSORRT: 1})
    assert proof.operators == {"fp16": 5, "tf32": 2, "fp32": 1, "unknown": 1}
    assert proof.detail["precision_from"] == "names of the kernels that ran"


def test_a_heavy_operator_outside_of_the_engines_decides_the_precision() -> None:
    events = [*one_engine(), *recorded("ort_cuda")]
    proof = read_engines(events, trace(*KERNELS), {}, TENSORRT)
    assert proof.precision == f"fp32 on {CUDA}"
    assert proof.providers == {TENSORRT: 1, CUDA: 8}


def test_no_kernels_prove_nothing() -> None:
    assert read_engines(one_engine(), trace(), {}, TENSORRT).precision == "none"
