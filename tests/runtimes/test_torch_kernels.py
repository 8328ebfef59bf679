"""Names of CUDA kernels that profilers recorded, as people published them (in reports, issues and tests of public
repositories; where a report cut a name short, so is it here). None is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runtimes.kernel_names import is_heavy_kernel, kernel_precision

RECORDED = {
    # cuBLAS and cuDNN, "xmma": what is stored, then what is multiplied. H100 and A100, torch and TensorRT.
    "sm90_xmma_gemm_f32f32_tf32f32_f32_tn_n_tilesize128x128x32_warpgroupsize1x1x1_execute_segment_k_off": "tf32",
    "sm80_xmma_gemm_f32f32_tf32f32_f32_nn_n_tilesize128x64x16_stage6_warpsize2x2x1_tensor16x8x8": "tf32",
    "sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize64x256x8": "fp32",
    "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize64x64x64_warpgroupsize1x1x1_execute_segment_k_off": "bf16",
    "sm80_xmma_gemm_f16f16_f16f32_f32_nn_n_tilesize96x64x32_stage3_warpsize2x2x1_tensor16x8x16_kernel": "fp16",
    "sm80_xmma_gemm_i8i8_i8i32_f32_tn_n_tilesize64x64x64_stage4_warpsize2x2x1_tensor16x8x32_by_fusion_tactic": "int8",
    "sm90_xmma_gemm_e4m3bf16_e4m3f32_f32_tn_n_tilesize128x128x128_cgasize1x2x1_stage4_gmmastage2": "fp8",
    "sm80_xmma_fprop_implicit_gemm_indexed_wo_smem_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x32x16_stage1": "tf32",
    "sm86_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x16_stage3": "tf32",
    "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize256x64x32_stage3": "fp16",
    "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw": "int8",
    "sm80_xmma_sparse_gemm_i8i8_i8i32_f32_tn_n_tilesize128x64x128_stage4_warpsize2x2x1_sptensor16x8x64": "int8_2to4",
    # CUTLASS within cuBLAS and cuDNN.
    "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x128_16x5_tn_align4>(T1::Params)": "tf32",
    "void cutlass::Kernel2<cutlass_80_tensorop_s16816gemm_f16_256x64_32x4_tn_align8>"
    "(cutlass_80_tensorop_s16816gemm_f16_256x64_32x4_tn_align8::Params)": "fp16",
    "void cutlass::Kernel<cutlass_80_tensorop_bf16_s16816gemm_bf16_64x256_32x4_nn_align8>(T1::Params)": "bf16",
    "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_256x128_32x3_tn_align8>": "bf16",
    "cutlass_80_tensorop_i16832gemm_s8_256x128_64x3_tn_align16": "int8",
    "cutlass_80_wmma_tensorop_i161616gemm_s8_forwardC": "int8",
    "cutlass_tensorop_s1688fprop_optimized_tf32_64x64_16x10_nhwc_align4": "tf32",
    "cutlass_tensorop_f16_s16832spgemm_f16_128x128_64x3_nt_align8": "fp16_2to4",
    "cutlass3x_sm90_tensorop_s64x256x16gemm_f16_f16_f32_void_f16_128x256x64_2x1x1_0_tnn_align8": "fp16",
    "void cutlass::Kernel2<cutlass_80_simt_sgemm_64x64_8x5_tn_align1>"
    "(cutlass_80_simt_sgemm_64x64_8x5_tn_align1::Params)": "fp32",
    # cuBLAS's and cuDNN's own.
    "ampere_fp16_s16816gemm_fp16_256x128_ldg8_f2f_mods_stages_64x3_nt": "fp16",
    "ampere_fp16_s1688gemm_fp16_128x128_ldg8_f2f_stages_32x1_nn": "fp16",
    "ampere_bf16_s1688gemm_128x128_tn": "bf16",
    "ampere_int32_i16832gemm_int8_256x128_ldg16_mods_stages_64x3_nt": "int8",
    "ampere_sgemm_128x64_tn": "fp32",
    "ampere_sgemm_64x32_sliced1x4": "fp32",
    "_5x_cudnn_ampere_scudnn_128x64_relu_xregs_large_nn_v1": "fp32",
    "turing_fp16_s1688gemm_fp16_256x128_ldg8_f2f_stages_32x1_tn": "fp16",
    "turing_fp16_s1688cudnn_fp16_128x128_ldg8_relu_f2f_exp_medium_nhwc_gelu_tn_v1": "fp16",
    "volta_h884gemm_256x128_ldg8_nn": "fp16",
    "volta_scudnn_128x64_relu_interior_nn_v1": "fp32",
    "void implicit_convolve_sgemm<float, float, 1024, 5, 5, 3, 3, 3, 1, false, false, true>(int, int, int)": "fp32",
    # cuBLAS since Hopper.
    "nvjet_hsh_256x144_64x4_1x2_h_bz_coopA_TNT": "fp16",
    "nvjet_sm90_hss_320x128": "fp16",
    "nvjet_tst_64x64_64x16_2x1_2cta_v_bz_bias_TNT": "bf16",
    "nvjet_sm90_tst_192x8_64x8_2x1_v_bz_TNT": "bf16",
    "nvjet_sm90_tss_64x8_64x16_4x1_v_bz_splitK": "bf16",
    "nvjet_qqtst_128x256_128x6_2x1_2cta_v_bz_TNT": "fp8",
    "nvjet_sss_tf32_128x256_TNT": "tf32",
    # torch's own.
    "at::native::tinygemm_m16n8k16_chunk_kernel<..., BLayout_TC_int4<8,128>, ...>": "int4wo",
    # They say nothing of a precision, or are no products.
    "nvjet_ootst_...Avec16UE4M3_Bvec16UE4M3": None,  # fp4 in blocks: E4M3 are its scales
    "cublasLt::splitKreduce_kernel": None,
    "void cudnn::engines_precompiled::nchwToNhwcKernel<__half, __half, float, (bool)0, (bool)1>": None,
    "void gemmSN_TN_kernel_64addr<float, 128, 16, 2, 4, 8, 9, false>": None,
    "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, __half, __half, __half, float>": None,
    "fmha_cutlass*_f32_aligned_*_sm80": None,
    "triton_tem_fused__to_copy_addmm_gelu_t_view_9": None,
    "vectorized_elementwise_kernel<...CUDAFunctor_add<BFloat16>...>": None,
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL": None,
    "cutlass_tensorop_s4_i16864gemm_s4_256x128_128x3": None,
}


@pytest.mark.parametrize(("name", "precision"), RECORDED.items())
def test_the_name_of_a_kernel_tells_the_precision_or_nothing(name: str, precision: str | None) -> None:
    assert kernel_precision(name) == precision


@given(st.text())
def test_any_other_name_tells_nothing(name: str) -> None:
    if not any(word in name for word in ("gemm", "xmma", "nvjet", "cudnn", "grad", "fprop")):
        assert kernel_precision(name) is None


NOT_HEAVY = ("splitKreduce", "nchwToNhwc", "gemvx", "vectorized_elementwise", "nccl", "triton_tem")


@pytest.mark.parametrize("name", RECORDED)
def test_a_name_that_tells_a_precision_is_of_a_heavy_kernel(name: str) -> None:
    assert is_heavy_kernel(name) or not kernel_precision(name)
    if not any(word in name for word in NOT_HEAVY):
        assert is_heavy_kernel(name)


@pytest.mark.parametrize(
    "name", ["cublasLt::splitKreduce_kernel", "void convertTensor_kernel<float>", "__myl_MulAdd_0x1"]
)
def test_what_surrounds_products_is_not_heavy(name: str) -> None:
    assert not is_heavy_kernel(name)
