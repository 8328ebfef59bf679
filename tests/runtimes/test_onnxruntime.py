"""The user's ONNX file is taken as it is, and a tenant that runs ONNX Runtime imports no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from bench.contract import Arrays, OnnxFile, Optimization, Recipe, Slot, Workload, plugin
from bench.runtimes.onnxruntime import OnnxRuntime

SLOT = Slot(index=0, threads=1)


@plugin
class UserFile(Workload):
    """Somebody's graph: two matrix products of 16 x 16."""

    kind: ClassVar[str] = "onnx"
    path: Path

    def identity(self) -> Mapping[str, Any]:
        return {"path": str(self.path)}

    def load(self) -> OnnxFile:
        return OnnxFile(self.path)

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        return {"x": np.random.default_rng(seed).standard_normal((batch_size, 16)).astype(np.float32)}


@pytest.fixture
def workload(tmp_path: Path) -> UserFile:
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((16, 16)).astype(np.float32) / 4, f"w{i}") for i in range(2)
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w1"], ["y"]),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16]) for name in "xy"]
    graph = helper.make_graph(nodes, "user", tensors[:1], tensors[1:], weights)
    path = tmp_path / "user.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return UserFile(path)


def test_the_users_file_is_taken_as_it_is(workload: UserFile, tmp_path: Path) -> None:
    built = tmp_path / "built"
    built.mkdir()
    runtime, recipe = OnnxRuntime(), Recipe(workload)
    runtime.build(recipe, built, 4, SLOT)
    assert not list(built.iterdir())
    inputs = workload.inputs(4, seed=1)
    with runtime.load(recipe, built, SLOT) as model:
        result = model.outputs(model.bind(inputs)())
        assert result.shape == (4, 16) and result.dtype == np.float32
        assert model.prove(inputs).operators == {"fp32": 2}


@pytest.mark.parametrize("quantization", ["static", "dynamic"])
def test_the_users_file_is_quantised(workload: UserFile, tmp_path: Path, quantization: str) -> None:
    built = tmp_path / "built"
    built.mkdir()
    recipe, inputs = Recipe(workload), workload.inputs(4, seed=1)
    runtime = OnnxRuntime(quantization)  # type: ignore[arg-type]
    runtime.build(recipe, built, 4, SLOT)
    with OnnxRuntime().load(recipe, built, SLOT) as model:
        reference = model.outputs(model.bind(inputs)())
    with runtime.load(recipe, built, SLOT) as model:
        result = model.outputs(model.bind(inputs)())
        assert model.prove(inputs).precision == "int8"
    assert np.abs(result - reference).max() < 0.1 * np.abs(reference).max()
    assert [path.name for path in built.iterdir()] == ["model.onnx"]


def test_a_tenant_imports_no_torch(workload: UserFile, tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from bench.contract import Recipe, Slot
from bench.runtimes.onnxruntime import OnnxRuntime
import test_onnxruntime as t
workload = t.UserFile(Path({str(workload.path)!r}))
with OnnxRuntime().load(Recipe(workload), Path({str(tmp_path)!r}), Slot(0, 1)) as model:
    inputs = workload.inputs(2, 0)
    model.outputs(model.bind(inputs)())
    model.prove(inputs)
heavy = {{"torch", "onnx", "onnxscript", "transformers"}} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_providers_than_asked_for_are_an_error(workload: UserFile, tmp_path: Path) -> None:
    runtime = OnnxRuntime(providers=("CUDAExecutionProvider",))
    with (
        pytest.raises(RuntimeError, match="asked ONNX Runtime for"),
        runtime.load(Recipe(workload), tmp_path, SLOT),
    ):
        pass


def test_plugins_import_nothing_heavy() -> None:
    """The conductor imports them all, and stays light."""
    modules = (
        "bench.runtimes.torch_eager, bench.runtimes.torchscript, bench.runtimes.torch_compile, "
        "bench.runtimes.onnxruntime, bench.runtimes.python_call, bench.optimizations.precision, "
        "bench.optimizations.pruning, bench.optimizations.quantization, bench.optimizations.distillation, "
        "bench.optimizations.store"
    )
    code = f"import sys, {modules}; heavy = {{'torch', 'onnx', 'onnxruntime'}} & sys.modules.keys(); assert not heavy"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_passes_need_a_torch_model(workload: UserFile) -> None:
    from bench.contract import Device
    from bench.optimizations.precision import Cast

    device = Device(kind="cpu", name="test", cpus=(0,), memory_bytes=1)
    optimization = Optimization(runtime=OnnxRuntime(), expects="fp32", passes=(Cast("bfloat16"),))
    assert "kind 'onnx'" in str(optimization.infeasible(workload, device))
    assert Optimization(runtime=OnnxRuntime(), expects="fp32").infeasible(workload, device) is None
