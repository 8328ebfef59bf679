"""Layer information of engines, and what it proves. Files named recorded_* are excerpts of what TensorRT 8 and 10 wrote
on real GPUs (each says where it is from); made_up_fp8 is made up in the form of TensorRT 11, for none was to be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runtimes.onnx.kernels import read_engines
from bench.runtimes.tensorrt.proof import is_heavy, precision_of, precision_of_tactic, read_layers
from tests.runtimes.test_torch_kernels import RECORDED

LAYERS = Path(__file__).parent / "layers"


def text(name: str) -> str:
    return (LAYERS / f"{name}.json").read_text()


@pytest.mark.parametrize(
    ("name", "precision", "operators"),
    [
        # An engine that was asked for fp32 with TF32 on, as TensorRT's default is: most of it ran in tf32.
        ("recorded_tf32", "tf32", {"fp32": 1, "tf32": 2}),
        ("recorded_fp16", "fp16", {"fp16": 3}),
        ("recorded_int8", "int8", {"int8": 3}),
        ("recorded_int8_depthwise", "int8", {"int8": 3}),
        ("recorded_gemm_fp16", "fp16", {"fp16": 1}),
        ("made_up_fp8", "fp8", {"fp8": 2, "fp16": 1}),
    ],
)
def test_precision_is_what_the_engine_multiplies_in(name: str, precision: str, operators: dict[str, int]) -> None:
    proof = read_layers(text(name), {"tensorrt": "11.4"})
    assert (proof.precision, proof.operators) == (precision, operators)
    assert proof.providers == {"TensorRT": len(json.loads(text(name))["Layers"])}
    assert proof.detail["tensorrt"] == "11.4"
    json.dumps(proof.detail)


def test_each_file_says_where_it_is_from() -> None:
    for path in LAYERS.glob("*.json"):
        source = json.loads(path.read_text())["Source"]
        assert source.startswith("made up" if path.stem.startswith("made_up") else "NVIDIA/TensorRT"), path


def test_an_engine_that_tells_only_names_proves_nothing() -> None:
    proof = read_layers(text("recorded_names_only"), {})
    assert (proof.precision, proof.detail["layers"]) == ("unknown", "names only")


def test_no_heavy_layer_proves_nothing() -> None:
    assert read_layers('{"Layers": []}', {}).precision == "none"


@pytest.mark.parametrize(
    ("tactic", "data_type", "precision"),
    [
        ("sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64", "BFloat16", "bf16"),
        ("sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize64x64x8_simt", "Float", "fp32"),
        ("sm80_xmma_gemm_f32f32_tf32f32_f32_tn_n_tilesize64x64x16", "Float", "tf32"),
        ("sm50_xmma_cublas_gemvx_f16f16_f32", "Half", "fp16"),
        ("ampere_sgemm_128x64_tn", "Float", "fp32"),
        ("ampere_h16816gemm_256x128_ldg8_nn_v1", "Half", "fp16"),
        ("nvjet_hsh_256x128_64x4_2x1_v_bz_TNN", "Half", "fp16"),  # this name tells in a way that is nowhere documented
        ("nvjet_tst_64x64_64x16_2x1_2cta_v_bz_bias_TNT", "Float", "bf16"),
        ("nvjet_sss_tf32_128x256_TNT", "Float", "tf32"),
        ("cutlass_80_wmma_tensorop_i161616gemm_s8_forwardC", "Float", "int8"),
        ("cutlass_tensorop_f16_s16832spgemm_f16_128x128_64x3_nt_align8", "Half", "fp16_2to4"),
        ("at::native::tinygemm_m16n8k16_chunk_kernel<..., BLayout_TC_int4<8,128>, ...>", "BFloat16", "int4wo"),
        ("a tactic of no telling name", "Int8", "int8"),
        ("a tactic of no telling name", "Something New", "unknown"),
    ],
)
def test_tactics_tell_and_inputs_tell_where_they_do_not(tactic: str, data_type: str, precision: str) -> None:
    layer = {"LayerType": "gemm", "TacticName": tactic, "Inputs": [{"Name": "x", "DataType": data_type}]}
    assert is_heavy(layer)
    assert precision_of(layer) == precision


def test_a_mask_is_not_taken_for_what_is_multiplied() -> None:
    inputs = [{"Format/Datatype": "Bool"}, {"Format/Datatype": "Half"}]
    assert precision_of({"LayerType": "kgen", "TacticName": "_gemm_mha_v2_0x1", "Inputs": inputs}) == "fp16"


def test_a_subgraph_in_one_layer_tells_nothing_of_what_is_inside() -> None:
    layer = {"LayerType": "Myelin", "Name": "{ForeignNode[a...b]}", "Inputs": [{"Format/Datatype": "Float"}]}
    assert is_heavy(layer) and precision_of(layer) == "unknown"


def test_conversions_that_serve_a_convolution_are_none() -> None:
    assert not is_heavy({"LayerType": "Reformat", "Name": "Reformatting for Conv_0", "TacticName": "conv reformat"})
    assert not is_heavy({"LayerType": "kgen", "TacticName": "__myl_MoveConcMulMean_0x1"})
    assert is_heavy({"LayerType": "kgen", "TacticName": "__myl_FcAddRelu_0x1"})


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Layers", "LayerType", "TacticName", "Inputs", "DataType", "Format/Datatype", "x"]),
            inner | st.sampled_from(["gemm", "Half", "CaskConvolution"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused_in_words(value: Any) -> None:
    read_or_refused(json.dumps(value))
    read_or_refused(json.dumps({"Layers": value}))


@given(st.text(max_size=40), st.integers(0, 3000))
def test_any_text_is_read_or_refused_in_words(noise: str, length: int) -> None:
    read_or_refused(noise)
    read_or_refused(text("recorded_int8")[:length])


def read_or_refused(told: str) -> None:
    try:
        proof = read_layers(told, {})
    except ValueError as error:
        assert "layer information" in str(error)
        return
    assert proof.precision
    assert all(count > 0 for count in proof.operators.values())


def test_nesting_without_end_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="layer information"):
        read_layers("[" * 100_000, {})


def test_a_hash_in_a_name_is_no_type() -> None:
    layer = {
        "LayerType": "gemm",
        "TacticName": "_gemm_mha_v2_0x7f16ab33debf16c",
        "Inputs": [{"Name": "x", "DataType": "Float"}],
    }
    assert precision_of(layer) == "fp32"


@pytest.mark.parametrize("name", [name for name, precision in RECORDED.items() if precision])
def test_an_engine_and_torch_read_a_kernel_in_the_same_way(name: str) -> None:
    layer = {"LayerType": "kgen", "TacticName": name, "Inputs": [{"DataType": "Something New"}]}
    assert is_heavy(layer)
    assert precision_of(layer) == precision_of_tactic(name) == RECORDED[name]


def test_kernels_of_a_product_that_an_engine_ran_are_a_proof() -> None:
    """In a trace of ONNX Runtime's TensorRT provider, where there are no layers."""
    names = [f"nvjet_hsh_{size}_64x4_2x1_v_bz_TNN" for size in ("256x128", "64x64", "128x8")]
    trace = {"traceEvents": [{"cat": "kernel", "name": name} for name in names]}
    proof = read_engines([], trace, {}, "TensorrtExecutionProvider")
    assert (proof.precision, proof.operators) == ("fp16", {"fp16": 3})
    assert proof.detail["heavy"] == {f"{name} fp16": 1 for name in names}
