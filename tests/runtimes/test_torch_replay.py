"""What a replayed CUDA graph proves. The traces are made up in the form of torch's profiler."""

from __future__ import annotations

from bench.runtimes.torch.replay import read_replay

from .made_up_traces import Made

SGEMM = "ampere_sgemm_128x64_tn"
TF32 = "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x128_16x5_tn_align4>(T1::Params)"
GEMV = "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float, float>"
TEMPLATE = "triton_tem_fused_addmm_t_view"
RELU = "void at::native::vectorized_elementwise_kernel<4, relu>"


def plain() -> Made:
    made = Made().operator("aten::addmm", "float", [SGEMM]).operator("aten::relu", "float", [RELU])
    return made.operator("aten::addmm", "float", [GEMV]).operator(TEMPLATE, "c10::BFloat16", [TEMPLATE])


def test_the_replayed_kernels_are_counted_as_the_plain_call_explains_them() -> None:
    replay = Made().replay([SGEMM, RELU, GEMV, GEMV, TEMPLATE])
    proof = read_replay(plain().trace, replay.trace, {"torch": "2.13.0"})
    assert proof.operators == {"fp32": 3, "bf16": 1}
    assert proof.precision == "fp32"
    assert proof.detail["heavy"] == {"aten::addmm fp32": 3, f"{TEMPLATE} bf16": 1}
    assert proof.detail["heavy_without_graph"] == 3
    longest = proof.detail["kernels"][0]
    assert (longest["name"], longest["count"]) == (GEMV, 2)


def test_the_replay_counts_where_it_differs_from_the_plain_call() -> None:
    proof = read_replay(plain().trace, Made().replay([TF32, TF32, RELU]).trace, {})
    assert (proof.precision, proof.operators) == ("tf32", {"tf32": 2})
    assert proof.detail["heavy"] == {"kernel tf32": 2}


def test_a_replay_without_kernels_proves_nothing() -> None:
    assert read_replay(plain().trace, Made().replay([]).trace, {}).precision == "none"
