"""Traces recorded from torch 2.13 on a CPU, cut to the fields that are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.runtimes.torch_proof import is_heavy, majority, read_trace

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
