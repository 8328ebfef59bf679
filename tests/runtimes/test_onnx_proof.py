"""Profiles recorded from ONNX Runtime 1.31 on a CPU, cut to the fields that are read. `ort_cuda` was recorded by
others, on a GPU: MNIST, in MQL5's reference of ONNX data structures, whose lines end at the first input's shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.runtimes.onnx.proof import read_profile

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
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
    proof = read_profile(recorded(name), {"onnxruntime": "1.31.1"}, CPU)
    assert (proof.precision, proof.operators) == (precision, operators)
    assert set(proof.providers) == {"CPUExecutionProvider"}
    assert sum(proof.providers.values()) == sum(proof.detail["nodes"].values())
    json.dumps(proof.detail)


def test_the_unfused_graph_holds_quantised_pairs() -> None:
    nodes = read_profile(recorded("ort_qdq_not_fused"), {}, CPU).detail["nodes"]
    assert nodes["QuantizeLinear"] > 5 and nodes["DequantizeLinear"] > 10  # it does look like int8


def test_a_recorded_run_on_a_gpu() -> None:
    proof = read_profile(recorded("ort_cuda"), {}, CUDA)
    assert (proof.precision, proof.operators) == ("fp32", {"fp32": 3})
    assert proof.providers == {CUDA: 8}


def test_one_heavy_operator_on_another_provider_decides_the_precision() -> None:
    events = recorded("ort_cuda")
    events[-3]["args"]["provider"] = CPU  # the Gemm
    proof = read_profile(events, {}, CUDA)
    assert proof.precision == "fp32 on CPUExecutionProvider"
    assert proof.operators == {"fp32": 2, "fp32 on CPUExecutionProvider": 1}
    assert proof.providers == {CUDA: 7, CPU: 1}


def test_light_nodes_on_the_cpu_and_copies_are_counted_only() -> None:
    """Made up: shapes are computed on the CPU, and tensors copied there."""
    events = recorded("ort_cuda")
    for operator, provider in (("MemcpyToHost", CUDA), ("Gather", CPU), ("Concat", CPU)):
        args = {"op_name": operator, "provider": provider, "input_type_shape": [{"int64": [2]}]}
        events.append({"cat": "Node", "name": f"{operator}_kernel_time", "args": args})
    proof = read_profile(events, {}, CUDA)
    assert (proof.precision, proof.providers) == ("fp32", {CUDA: 9, CPU: 2})
    assert proof.detail["nodes"]["MemcpyToHost"] == 1


def test_a_quantised_graph_on_cuda_runs_between_its_pairs() -> None:
    """Made up from the graph that was recorded on a CPU with nothing fused, which is what the CUDA provider does."""
    events = recorded("ort_qdq_not_fused")
    for event in events:
        if "provider" in event["args"]:
            event["args"]["provider"] = CUDA
    assert read_profile(events, {}, CUDA).precision == "fp32"


def test_the_majority_decides_when_precisions_are_mixed() -> None:
    events = recorded("ort_int8")
    events += [event for event in recorded("ort_fp32") if event["args"].get("op_name") == "Gemm"]
    proof = read_profile(events, {}, CPU)
    assert (proof.precision, proof.operators) == ("int8", {"int8": 7, "fp32": 1})


def test_half_precision_is_read_from_the_tensors() -> None:
    event = {"cat": "Node", "name": "a_kernel_time", "args": {"op_name": "MatMul", "provider": "CPUExecutionProvider"}}
    event["args"] |= {"input_type_shape": [{"float16": [2, 3]}, {"float16": [3, 4]}]}  # type: ignore[operator]
    assert read_profile([event], {}, CPU).precision == "fp16"


def test_no_heavy_operator_proves_nothing() -> None:
    assert read_profile([], {}, CPU).precision == "none"
