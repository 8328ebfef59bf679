"""A user's own ONNX file, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness import SHORT, run_bench

MODEL = ("workload=onnx", "workload.path=model.onnx", "workload.items=16")


def write_model(path: Path, batch: int | str) -> None:
    """image (batch, 3, 8, 8) -> convolution -> mean -> logits (batch, 5)."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal((16, 3, 3, 3)).astype(np.float32), "kernel"),
        numpy_helper.from_array(rng.standard_normal((16, 5)).astype(np.float32), "matrix"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 5])],
        weights,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


@pytest.mark.parametrize("batch", [1, "n"])
def test_an_onnx_file_of_fixed_or_dynamic_batch_is_measured_and_judged(tmp_path: Path, batch: int | str) -> None:
    write_model(tmp_path / "model.onnx", batch)
    result = run_bench("run", "--json", *MODEL, "optimizations=[ort_fp32,int8_ort,fp32]", *SHORT, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (run,) = json.loads(result.stdout)
    quality = {row["optimization"]: row["quality"] for row in run["rows"]}
    assert quality["ort_fp32"]["top1_agreement"] == 1.0
    assert quality["int8_ort"]["cosine"] > 0.99
    assert [item["optimization"] for item in run["infeasible"] if not item["telemetry"]] == ["fp32"]
    trials = [json.loads(line) for line in (Path(run["run"]) / "trials.jsonl").read_text().splitlines()]
    assert {(trial["optimization"], trial["proof"]["precision"]) for trial in trials} == {
        ("ort_fp32", "fp32"),
        ("int8_ort", "int8"),
    }


def test_another_batch_than_the_file_has_is_infeasible(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx", 1)
    result = run_bench("run", *MODEL, "optimizations=[ort_fp32]", "scenario=offline", *SHORT, cwd=tmp_path)
    assert result.returncode == 3
    assert "the model takes batches of 1 only, and offline measures at 32" in result.stderr
