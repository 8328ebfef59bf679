"""Traces recorded from torch 2.13 on a CPU, and an old one from a GPU, cut to the fields that are read; and traces that
are made up in the same form, of kernels whose names were recorded on GPUs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity

from bench.runtimes.proofs import majority
from bench.runtimes.torch.proof import heavy_operators, is_heavy, longest, profiled, read_trace

from .made_up_traces import Made

PROFILES = Path(__file__).parent / "profiles"


def recorded(name: str) -> Any:
    return json.loads((PROFILES / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "precision", "operators"),
    [
        ("torch_eager_fp32", "fp32", {"fp32": 7}),
        # Five of nine convolutions call a second convolution operator, which is not counted again.
        ("torch_slow_convolution", "fp32", {"fp32": 10}),
        ("torch_eager_amp_bf16", "bf16", {"bf16": 7}),
        ("torch_compiled_fp32", "fp32", {"fp32": 6}),
        ("torch_compiled_int8", "int8", {"int8": 4, "fp32": 2}),  # attention itself stays fp32
    ],
)
def test_precision_is_what_ran(name: str, precision: str, operators: dict[str, int]) -> None:
    proof = read_trace(recorded(name), {"torch": "2.13.0"})
    assert (proof.precision, proof.operators) == (precision, operators)
    assert sum(proof.detail["heavy"].values()) == sum(operators.values())


def test_operators_that_the_profiler_cannot_see_are_added() -> None:
    proof = read_trace({"traceEvents": []}, {}, {("prim::mkldnn_convolution", "fp32"): 6})
    assert proof.operators == {"fp32": 6}
    assert proof.detail["heavy"] == {"prim::mkldnn_convolution fp32": 6}


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("aten::addmm", True),
        ("aten::_int_mm", True),
        ("aten::_sparse_semi_structured_mm", True),
        ("triton_tem_fused_addmm_t_view", True),
        ("triton_poi_fused_relu_0", False),
        ("mkldnn::_convolution_pointwise", True),
        ("onednn::qlinear_pointwise", True),
        ("aten::linear", False),  # it ends in addmm, which is counted
        ("onednn::qconv_prepack", False),
        ("mkldnn::_reorder_linear_weight_prepack", False),
        ("aten::add", False),
        ("aten::empty", False),
    ],
)
def test_what_counts_as_heavy(name: str, heavy: bool) -> None:
    assert is_heavy(name) is heavy


def test_majority() -> None:
    assert majority({"fp32": 2, "int8": 3}) == "int8"
    assert majority({}) == "none"


# --- on a GPU ---------------------------------------------------------------------------------------------------


def test_a_recorded_operator_gets_the_kernels_that_it_launched() -> None:
    """Recorded in 2021, when the profiler had other words for the same categories."""
    now = {"Operator": "cpu_op", "Runtime": "cuda_runtime", "Kernel": "kernel"}
    events = [{**event, "cat": now[event["cat"]]} for event in recorded("torch_cuda_v100_2021")["traceEvents"]]
    (product,) = heavy_operators({"traceEvents": events})
    assert product.name == "aten::mm"
    (name,) = [kernel["name"] for kernel in product.kernels]
    assert name.startswith("void gemmSN_TN_kernel_64addr<float")
    proof = read_trace({"traceEvents": events}, {})
    # Nothing told the precision, as nothing had been asked to record types, and this kernel's name says nothing.
    assert (proof.precision, proof.detail["told_by_dtype_alone"]) == ("unknown", 1)
    assert [kernel["count"] for kernel in proof.detail["kernels"]] == [1, 1]


TF32 = "sm80_xmma_gemm_f32f32_tf32f32_f32_nn_n_tilesize128x64x16_stage6_warpsize2x2x1_tensor16x8x8"
SGEMM = "ampere_sgemm_128x64_tn"
TO_NHWC = "void cudnn::engines_precompiled::nchwToNhwcKernel<float, float, float, (bool)0, (bool)1>"
CONVOLUTION = "cutlass_tensorop_s1688fprop_optimized_tf32_64x64_16x10_nhwc_align4"
GEMV = "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float, float>"


@pytest.mark.parametrize(
    ("operator", "dtype", "kernels", "precision", "by_dtype"),
    [
        ("aten::addmm", "float", [TF32], "tf32", 0),
        ("aten::addmm", "float", [SGEMM], "fp32", 0),
        ("aten::cudnn_convolution", "float", [TO_NHWC, CONVOLUTION, TO_NHWC], "tf32", 0),
        ("aten::addmm", "float", [GEMV], "fp32", 1),  # the name is not known: never a guess
        ("aten::addmm", "c10::Half", ["ampere_fp16_s1688gemm_fp16_128x128_ldg8_f2f_tn"], "fp16", 0),
        ("aten::mm", "c10::BFloat16", ["nvjet_tst_192x8_64x8_4x1_v_bz_TNT"], "bf16", 0),
        ("aten::_int_mm", "signed char", ["cutlass_80_tensorop_i16832gemm_s8_256x128_64x3_tn_align16"], "int8", 0),
        ("aten::_scaled_mm", "c10::Float8_e4m3fn", ["nvjet_qqtst_128x256_128x6_2x1_2cta_v_bz_TNT"], "fp8", 0),
        ("aten::_scaled_mm", "c10::Float8_e4m3fn", ["some_kernel"], "fp8", 1),
        ("aten::_cslt_sparse_mm", "c10::Half", ["some_kernel"], "fp16_2to4", 1),
        ("aten::_sparse_semi_structured_mm", "c10::Half", ["some_kernel"], "fp16_2to4", 1),
        ("aten::_weight_int4pack_mm", "c10::BFloat16", ["some_kernel"], "int4wo", 1),
        ("triton_tem_fused_addmm_t_view", "c10::BFloat16", ["triton_tem_fused_addmm_t_view"], "bf16", 1),
    ],
)
def test_the_kernels_name_refines_what_the_dispatcher_saw(
    operator: str, dtype: str, kernels: list[str], precision: str, by_dtype: int
) -> None:
    proof = read_trace(Made().operator(operator, dtype, kernels).trace, {})
    assert (proof.precision, proof.operators) == (precision, {precision: 1})
    assert proof.detail["told_by_dtype_alone"] == by_dtype
    assert proof.detail["heavy"] == {f"{operator} {precision}": 1}


def test_kernels_of_operators_within_a_heavy_one_are_its_own() -> None:
    made = Made().operator("aten::thnn_conv2d", "float", [TO_NHWC], inside=("aten::addmm", "float", [TF32]))
    made.operator("aten::mm", "float", [SGEMM])
    proof = read_trace(made.trace, {})
    assert proof.operators == {"tf32": 1, "fp32": 1}


def test_a_launch_by_another_thread_is_nobodys() -> None:
    made = Made().operator("aten::mm", "float", [TF32], launch_tid=2)
    assert read_trace(made.trace, {}).operators == {"fp32": 1}


def test_the_longest_kernels_are_kept_by_name_and_cut() -> None:
    ran = [{"name": f"kernel{index % 12:02}" + "x" * 200, "dur": 1 + index % 12} for index in range(24)]
    kept = longest(ran)
    assert len(kept) == 10
    assert kept[0] == {"name": "kernel11" + "x" * 112, "count": 2, "total_us": 24}
    assert [kernel["total_us"] for kernel in kept] == sorted((kernel["total_us"] for kernel in kept), reverse=True)


@pytest.mark.parametrize("on_cuda", [False, True])
def test_the_real_profiler_is_asked_for_kernels_where_cuda_is_used(
    on_cuda: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[set[Any]] = []
    done: list[str] = []

    class Spy(torch.autograd.profiler.profile):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            recorded.append(set(self.kineto_activities))
            self.kineto_activities.discard(ProfilerActivity.CUDA)  # to run here after all

    both = {ProfilerActivity.CPU, ProfilerActivity.CUDA}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: on_cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: on_cuda)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: done.append("wait"))
    monkeypatch.setattr(torch.autograd.profiler, "_supported_activities", lambda: both)
    monkeypatch.setattr(torch.autograd.profiler, "profile", Spy)
    profiled(lambda: done.append("call"))
    assert recorded == [both if on_cuda else {ProfilerActivity.CPU}]
    assert done == (["call", "wait", "call", "wait"] if on_cuda else ["call", "call"])


def test_a_trace_of_a_cpu_tells_of_no_kernels() -> None:
    assert set(read_trace(recorded("torch_eager_fp32"), {}).detail) == {"heavy"}
