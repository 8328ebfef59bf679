"""What the name of a CUDA kernel tells: whether it is a matrix product or a convolution, and in which precision.

NVIDIA does not document these names. The rules are read off names that profilers recorded, which
tests/runtimes/test_torch_kernels.py lists with their sources; a name that no rule knows says nothing.
"""

from __future__ import annotations

import re

TYPES = {
    "tf32": "tf32",
    "bf16": "bf16",
    "fp16": "fp16",
    "f16": "fp16",
    "f32": "fp32",
    "f64": "fp64",
    "e4m3": "fp8",
    "e5m2": "fp8",
    "int8": "int8",
    "i8": "int8",
    "s8": "int8",
    "u8": "int8",
}
_TYPE = "|".join((*TYPES, "i32"))

# sm80_xmma_gemm_f32f32_tf32f32_f32_...: what is stored, then what is multiplied and what it is added up in.
_XMMA = re.compile(rf"xmma_(?P<sparse>sparse_)?\w*?_(?:{_TYPE}){{2}}_(?P<type>{_TYPE})(?:{_TYPE})_")

# cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_..., ampere_fp16_s1688gemm_fp16_..., ..._s1688fprop_optimized_tf32_...:
# a letter for the sums (s: single), the shape of one instruction, sometimes what it multiplies, and the operation.
_INSTRUCTION = re.compile(
    r"_(?P<sums>[shi])(?P<shape>884|8816|1688|16816|16832|161616)(?P<type>tf32|bf16|f16)?(?P<sparse>sp)?"
    r"(?:gemm|cudnn|fprop|dgrad|wgrad)(?P<rest>\w*)"
)

# cutlass3x_sm90_tensorop_s64x128x16gemm_f16_f16_f32_...: both factors, then the sums.
_CUTLASS3 = re.compile(rf"cutlass3x_sm\d+_tensorop_(?:\w*?gemm)_(?P<type>{_TYPE})_")

# ampere_sgemm_..., cutlass_80_simt_sgemm_..., _5x_cudnn_ampere_scudnn_...: without tensor cores.
_SINGLE = re.compile(r"(?:maxwell|volta|turing|ampere|simt)_s(?:gemm|cudnn)_|implicit_convolve_sgemm<float, float,")

# nvjet_tst_..., nvjet_sm90_hsh_..., nvjet_qqtst_...: letters for the factors, the sums and the result.
_NVJET = re.compile(r"nvjet_(?:sm\d+_)?(?P<letters>[a-z]+)_(?P<tf32>tf32_)?")
NVJET = {"hsh": "fp16", "hss": "fp16", "tst": "bf16", "tss": "bf16", "qqtst": "fp8", "qqhsh": "fp8"}

_INT4 = re.compile(r"tinygemm_m16n8k16_chunk_kernel<.*BLayout_TC_int4")

_HEAVY = re.compile(
    r"gemm|nvjet|fprop|dgrad|wgrad|mha|conv(?!ert)|[hsi]\d*cudnn|winograd|depthwise|attention", re.IGNORECASE
)

# __myl_FcAddRelu_0x...: what TensorRT generates is named by the operators in it, cut short.
_GENERATED = re.compile(r"__myl_((?:[A-Z][a-z0-9]*)+)")
_HEAVY_OPERATORS = frozenset({"Fc", "Conv", "Gemm", "Mha"})


def is_generated(name: str) -> bool:
    """Whether TensorRT made this kernel of several operators, and named it so."""
    return _GENERATED.match(name) is not None


def is_heavy_kernel(name: str) -> bool:
    """Whether a kernel multiplies matrices, convolves or attends, as far as its name tells."""
    if generated := _GENERATED.match(name):
        return bool(_HEAVY_OPERATORS & set(re.findall(r"[A-Z][a-z0-9]*", generated[1])))
    return _HEAVY.search(name) is not None


def kernel_precision(name: str) -> str | None:
    """As `Proof.precision` has it; None where the name does not tell, or is of no matrix product or convolution."""
    if _INT4.search(name):
        return "int4wo"
    if found := _XMMA.search(name):
        return _with_sparsity(TYPES.get(found["type"]), found["sparse"])
    if found := _INSTRUCTION.search(name):
        return _with_sparsity(_of_instruction(name, found), found["sparse"])
    if found := _CUTLASS3.search(name):
        return TYPES.get(found["type"])
    if found := _NVJET.search(name):
        return "tf32" if found["tf32"] else NVJET.get(found["letters"])
    return "fp32" if _SINGLE.search(name) else None


def _with_sparsity(precision: str | None, sparse: str | None) -> str | None:
    return f"{precision}_2to4" if precision and sparse else precision


def _of_instruction(name: str, found: re.Match[str]) -> str | None:
    """The type is told within the operation or after it; only short forms of a name tell it before alone."""
    if found["type"]:
        return TYPES[found["type"]]
    after = [word for word in found["rest"].split("_") if word in TYPES]
    before = [word for word in name[: found.start()].split("_") if word in TYPES]
    told = TYPES[(after or before)[0]] if after or before else None
    if found["sums"] == "i":
        return told if told == "int8" else None
    if found["sums"] == "h":
        return "fp16"
    if told is None and found["shape"] == "1688" and "cutlass" in name:
        return "tf32"  # CUTLASS names the factors of this instruction only where they are not fp32
    return told
