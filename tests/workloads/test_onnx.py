"""A user's ONNX graph: refused early when it is no graph, given inputs that it takes when it is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import onnx
import pytest
from omegaconf import OmegaConf
from onnx import TensorProto, helper, numpy_helper

from bench.errors import ConfigError, InputError
from workloads.user_onnx import UserOnnx

CONFIGS = Path(__file__).parents[2] / "configs" / "workload"


def write(folder: Path, batch: int | str = "n", length: int | str = "seq", external: bool = False) -> Path:
    """An embedding and a matrix product: tokens int64 [batch, length], scale float32 [batch, 1] -> [batch, 4]."""
    random = np.random.default_rng(0)
    table = numpy_helper.from_array(random.standard_normal((50, 8)).astype(np.float32), "table")
    weight = numpy_helper.from_array(random.standard_normal((8, 4)).astype(np.float32), "weight")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "tokens"], ["embedded"]),
            helper.make_node("ReduceMean", ["embedded", "axis"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
            helper.make_node("MatMul", ["scaled", "weight"], ["logits"]),
        ],
        "small",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [batch, length]),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, [batch, 1]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 4])],
        [table, weight, numpy_helper.from_array(np.array([1], dtype=np.int64), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "small.onnx"
    onnx.save(model, path, save_as_external_data=external, location="small.data", size_threshold=0)
    return path


def make(path: Path | str, **options: Any) -> UserOnnx:
    return UserOnnx(**{"path": str(path), "dims": {"seq": 5}, "int_high": 50, **options})


def test_the_graph_takes_what_is_made_for_it(tmp_path: Path) -> None:
    import onnxruntime

    workload = make(write(tmp_path))
    assert (workload.kind, workload.default_baseline) == ("onnx", "ort_fp32")
    session = onnxruntime.InferenceSession(workload.load().path)
    inputs = workload.inputs(3, seed=1)
    assert {name: (array.shape, array.dtype.name) for name, array in inputs.items()} == {
        "tokens": ((3, 5), "int64"),
        "scale": ((3, 1), "float32"),
    }
    assert session.run(None, dict(inputs))[0].shape == (3, 4)
    np.testing.assert_array_equal(inputs["tokens"], workload.inputs(3, seed=1)["tokens"])
    evaluation = workload.evaluation()
    assert len(evaluation.inputs["scale"]) == 64
    assert evaluation.inputs["tokens"].max() < 50


def test_a_fixed_batch(tmp_path: Path) -> None:
    workload = make(write(tmp_path, batch=3), items=10)
    assert workload.inputs(3, 0)["tokens"].shape == (3, 5)
    with pytest.raises(InputError, match="fixed batch of 3"):
        workload.inputs(4, 0)
    evaluation = workload.evaluation()
    assert (len(evaluation.inputs["tokens"]), evaluation.batch_size) == (12, 3)
    assert all(len(batch["tokens"]) == 3 for batch in workload.calibration())


def test_a_dynamic_axis_needs_a_size(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(ConfigError, match="axis 'seq' of input 'tokens'") as error:
        make(path, dims=None).identity()
    assert "workload.dims={seq: 128}" in error.value.hint
    assert make(path, dims={"seq": 7}).inputs(2, 0)["tokens"].shape == (2, 7)


def test_identity_follows_graph_weights_and_inputs(tmp_path: Path) -> None:
    path = write(tmp_path, external=True)
    before = make(path).identity()
    assert json.loads(json.dumps(before)) == before
    assert list(before["external"]) == ["small.data"]
    assert make(path, int_high=10).identity() != before
    data = tmp_path / "small.data"
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert make(path).identity()["external"] != before["external"]
    data.write_bytes(content[:-1])
    with pytest.raises(InputError, match="shorter"):
        make(path).identity()
    data.unlink()
    with pytest.raises(InputError, match=r"small\.data, which holds"):
        make(path).identity()


def test_all_that_tenants_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, external=True)
    monkeypatch.chdir(tmp_path)
    named = make(path.name, dims={"seq": 4}).reads()
    assert path in named
    assert set(named) == {file for file in tmp_path.iterdir() if file.is_file()}


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path)
    bad = tmp_path / "bad.onnx"
    for content in (b"", b"<html>not found</html>", good.read_bytes()[:200], b"\x00" * 500):
        bad.write_bytes(content)
        with pytest.raises(InputError, match="is not an ONNX model") as error:
            make(bad).identity()
        assert error.value.where == "workload.path"
    with pytest.raises(InputError, match="does not exist"):
        make(tmp_path / "absent.onnx").identity()
    with pytest.raises(InputError, match="is a folder"):
        make(tmp_path).identity()


def test_inputs_from_a_file(tmp_path: Path) -> None:
    path, items = write(tmp_path), tmp_path / "items.npz"
    scale = np.arange(8, dtype=np.float32)[:, None]
    np.savez(items, tokens=np.zeros((8, 6), dtype=np.int64), scale=scale, labels=np.arange(8))
    workload = make(path, dims=None, inputs=str(items))
    assert len(workload.identity()["inputs"]) == 64
    assert workload.inputs(20, 0)["tokens"].shape == (20, 6)
    judged = set(workload.evaluation().inputs["scale"].ravel())
    calibrating = {value for batch in workload.calibration() for value in batch["scale"].ravel()}
    assert judged | calibrating == set(range(8))
    assert not judged & calibrating


def test_a_file_that_does_not_serve(tmp_path: Path) -> None:
    path, items = write(tmp_path), tmp_path / "items.npz"
    tokens, scale = np.zeros((8, 6), dtype=np.int64), np.ones((8, 1), dtype=np.float32)
    for arrays in (
        {"tokens": tokens},
        {"tokens": tokens, "scale": scale[:3]},
        {"tokens": tokens, "scale": scale[0, 0]},
    ):
        np.savez(items, **arrays)
        with pytest.raises(InputError, match="the graph takes scale, tokens"):
            make(path, inputs=str(items)).identity()
    np.savez(items, tokens=np.array([{}, {}], dtype=object), scale=scale)
    with pytest.raises(InputError, match=r"not an \.npz file"):
        make(path, inputs=str(items)).identity()
    items.write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        make(path, inputs=str(items)).identity()


def test_the_configuration_composes(tmp_path: Path) -> None:
    path = write(tmp_path)
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        assert OmegaConf.is_missing(hydra.compose("onnx"), "path")
        config = hydra.compose("onnx", [f"path={path}", "dims={seq: 5}", "int_high=50"])
    assert hydra.utils.instantiate(config, _convert_="all") == make(path)


def test_the_conductor_stays_light(tmp_path: Path) -> None:
    code = (
        "import sys; from workloads.user_onnx import UserOnnx; print('onnx' in sys.modules)\n"
        f"UserOnnx(path={str(write(tmp_path))!r}, dims={{'seq': 5}}).identity()\n"
        "print('torch' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
