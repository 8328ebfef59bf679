"""Profiles recorded from ONNX Runtime 1.31 on a CPU, cut to the fields that are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.runtimes.onnx_proof import read_profile

PROFILES = Path(__file__).parent / "profiles"


def recorded(name: str) -> Any:
    return json.loads((PROFILES / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "precision", "operators"),
    [
        ("ort_fp32", "fp32", {"fp32": 7}),
        ("ort_int8", "int8", {"int8": 7}),
        ("ort_int8_dynamic", "int8", {"int8": 7}),
        # A graph with Q/DQ pairs, run with graph optimisation off: nothing was fused, everything ran in fp32.
        ("ort_qdq_not_fused", "fp32", {"fp32": 7}),
    ],
)
def test_precision_is_what_ran(name: str, precision: str, operators: dict[str, int]) -> None:
    proof = read_profile(recorded(name), {"onnxruntime": "1.31.1"})
    assert (proof.precision, proof.operators) == (precision, operators)
    assert set(proof.providers) == {"CPUExecutionProvider"}
    assert sum(proof.providers.values()) == sum(proof.detail["nodes"].values())
    json.dumps(proof.detail)


def test_the_unfused_graph_holds_quantised_pairs() -> None:
    nodes = read_profile(recorded("ort_qdq_not_fused"), {}).detail["nodes"]
    assert nodes["QuantizeLinear"] > 5 and nodes["DequantizeLinear"] > 10  # it does look like int8


def test_nodes_are_counted_by_provider() -> None:
    events = recorded("ort_fp32")
    for event in events:
        if event["args"].get("op_name") == "Conv":
            event["args"]["provider"] = "CUDAExecutionProvider"
    assert read_profile(events, {}).providers["CUDAExecutionProvider"] == 6


def test_the_majority_decides_when_precisions_are_mixed() -> None:
    events = recorded("ort_int8")
    events += [event for event in recorded("ort_fp32") if event["args"].get("op_name") == "Gemm"]
    proof = read_profile(events, {})
    assert (proof.precision, proof.operators) == ("int8", {"int8": 7, "fp32": 1})


def test_half_precision_is_read_from_the_tensors() -> None:
    event = {"cat": "Node", "name": "a_kernel_time", "args": {"op_name": "MatMul", "provider": "CPUExecutionProvider"}}
    event["args"] |= {"input_type_shape": [{"float16": [2, 3]}, {"float16": [3, 4]}]}  # type: ignore[operator]
    assert read_profile([event], {}).precision == "fp16"


def test_no_heavy_operator_proves_nothing() -> None:
    assert read_profile([], {}).precision == "none"
