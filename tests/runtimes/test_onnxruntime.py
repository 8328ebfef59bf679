"""The user's ONNX file is taken as it is, and a tenant that runs ONNX Runtime imports no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.contract import Device, Optimization, Recipe, Slot
from bench.runtimes.onnx.session import open_session
from bench.runtimes.onnxruntime import OnnxRuntime
from tests.runtimes.onnxruntime_pretended import UserFile, user_file

SLOT = Slot(index=0, threads=1)


@pytest.fixture
def workload(tmp_path: Path) -> UserFile:
    return user_file(tmp_path)


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
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from bench.contract import Recipe, Slot
from bench.runtimes.onnx.session import open_session
from bench.runtimes.onnxruntime import OnnxRuntime
from tests.runtimes.onnxruntime_pretended import UserFile
workload = UserFile(Path({str(workload.path)!r}))
with OnnxRuntime().load(Recipe(workload), Path({str(tmp_path)!r}), Slot(0, 1)) as model:
    inputs = workload.inputs(2, 0)
    model.outputs(model.bind(inputs)())
    model.prove(inputs)
heavy = {{"torch", "onnx", "onnxscript", "transformers"}} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_providers_than_asked_for_are_an_error(workload: UserFile) -> None:
    """The onnxruntime for CPUs, asked for CUDA, warns in its log and goes on with the CPU alone."""
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(RuntimeError, match="for CUDAExecutionProvider, CPUExecutionProvider, got CPUExecutionProvider"),
    ):
        open_session(workload.path, {"CUDAExecutionProvider": {}, "CPUExecutionProvider": {}}, 1)


@pytest.mark.parametrize("got", [["CPUExecutionProvider"], ["CPUExecutionProvider", "CUDAExecutionProvider"]])
def test_providers_must_be_those_asked_for_in_their_order(
    workload: UserFile, monkeypatch: pytest.MonkeyPatch, got: list[str]
) -> None:
    import onnxruntime

    asked = []

    def pretended(*arguments: Any, **options: Any) -> Any:
        asked.append(options)
        return SimpleNamespace(get_providers=lambda: got)

    monkeypatch.setattr(onnxruntime, "InferenceSession", pretended)
    wanted = {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}
    with pytest.raises(RuntimeError, match="asked ONNX Runtime for"):
        open_session(workload.path, wanted, 1)
    assert asked == [{"providers": list(wanted.items()), "enable_fallback": 0}]


def test_on_a_gpu_it_points_to_the_one_that_runs_there(workload: UserFile) -> None:
    device = Device(kind="cuda", name="a GPU", cpus=(0,), memory_bytes=1)
    assert "needs its CUDA provider: ort_cuda" in str(OnnxRuntime().infeasible(workload, device))


def test_plugins_import_nothing_heavy() -> None:
    """The conductor imports them all, and stays light."""
    modules = (
        "bench.runtimes.torch_eager, bench.runtimes.torchscript, bench.runtimes.torch_compile, "
        "bench.runtimes.onnxruntime, bench.runtimes.onnxruntime_tensorrt, bench.runtimes.python_call, "
        "bench.optimizations.precision, "
        "bench.optimizations.pruning, bench.optimizations.quantization, bench.optimizations.distillation, "
        "bench.optimizations.store"
    )
    code = f"import sys, {modules}; heavy = {{'torch', 'onnx', 'onnxruntime'}} & sys.modules.keys(); assert not heavy"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_passes_need_a_torch_model(workload: UserFile) -> None:
    from bench.optimizations.precision import Cast

    device = Device(kind="cpu", name="test", cpus=(0,), memory_bytes=1)
    optimization = Optimization(runtime=OnnxRuntime(), expects="fp32", passes=(Cast("bfloat16"),))
    assert "kind 'onnx'" in str(optimization.infeasible(workload, device))
    assert Optimization(runtime=OnnxRuntime(), expects="fp32").infeasible(workload, device) is None
