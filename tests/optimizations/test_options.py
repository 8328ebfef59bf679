"""Every option of `configs/optimizations/` that a CPU can execute: builds, loads, answers like fp32, and proves its
precision. (What each device can execute: test_feasible.py.)"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bench.contract import Array, Device, Recipe, Workload

from .options import FOLDER, NAMES, SLOT, answers, cosine, loaded, option
from .specimens import Sequences, Squares

COMPILED = {"torch_compile", "torch_compile_bf16", "int8_torchao", "int4wo_torchao"}
SLOW = {*((name, "cnn") for name in COMPILED), ("int8_torchao", "transformer"), ("int4wo_torchao", "transformer")}
DEVICE = Device(kind="cpu", name="test", cpus=(0,), memory_bytes=1)
SPECIMENS: dict[str, Workload] = {"cnn": Squares(), "transformer": Sequences()}
# Of the transformer's six products only two fit into groups of int4.
ANOTHER_PRECISION = {("int4wo_torchao", "transformer"): "bf16"}
REFUSED = {("int8_torchao", "cnn"), ("int4wo_torchao", "cnn")}  # while building: most of it is convolutions
RETRAINED = ("pruned", "distilled")  # other functions, that agree on the class

CASES = [
    pytest.param(name, kind, marks=[pytest.mark.slow] if (name, kind) in SLOW else [])
    for name in NAMES
    for kind, specimen in SPECIMENS.items()
    if option(name).infeasible(specimen, DEVICE) is None and (name, kind) not in REFUSED
]


@cache
def reference(kind: str) -> Array:
    workload = SPECIMENS[kind]
    with option("fp32").runtime.load(Recipe(workload), Path(), SLOT) as model:
        return answers(model, workload)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_option_answers_and_proves(name: str, kind: str, tmp_path: Path) -> None:
    workload, optimization = SPECIMENS[kind], option(name)
    with loaded(optimization, workload, tmp_path) as model:
        result = answers(model, workload)
        proof = model.prove(workload.inputs(8, seed=5))
    assert result.dtype == "float32" and result.shape == (8, 4)
    if name.startswith(RETRAINED):
        assert (result.argmax(1) == reference(kind).argmax(1)).mean() >= 7 / 8
    else:
        assert cosine(result, reference(kind)) > (0.99 if "int" in name else 0.999)
    assert proof.precision == ANOTHER_PRECISION.get((name, kind), optimization.expects)
    assert sum(proof.operators.values()) >= 4  # all heavy operators are seen, not just some
    if name not in COMPILED:  # Inductor's cache is Inductor's affair
        assert_no_pickle(tmp_path)


def test_autocast_casts_weights_once(tmp_path: Path) -> None:
    """Inputs are cast in every call, the kernels of the convolutions only in the first."""
    from bench.runtimes.torch.proof import profiled

    workload = Squares()
    with option("amp_bf16").runtime.load(Recipe(workload), tmp_path, SLOT) as model:
        trace = profiled(model.bind(workload.inputs(8, seed=5)))
    casts = [event["args"] for event in trace["traceEvents"] if event["name"] == "aten::_to_copy"]
    kernels = [args["Input Dims"][0] for args in casts if args["Input Dims"][0][-2:] == [3, 3]]
    assert casts and not kernels


def assert_no_pickle(folder: Path) -> None:
    """Torch archives are zip files; only TorchScript's own may be here, whose pickles hold data and no
    code."""
    allowed = {".safetensors", ".json", ".onnx", ".data", ".torchscript"}
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.suffix in allowed
            assert not path.read_bytes().startswith(b"\x80")


def test_every_option_says_what_it_is() -> None:
    for name in NAMES:
        first, *_ = (FOLDER / f"{name}.yaml").read_text().splitlines()
        assert first.startswith("# ") and first.endswith(".")


def test_native_calls_the_function() -> None:
    from bench.runtimes.python_call import CallableLoaded

    model = CallableLoaded(lambda inputs: inputs["item"] * 2)
    calls = model.bind({"item": reference("cnn")})
    assert (model.outputs(calls()) == 2 * reference("cnn")).all()
    assert model.prove({}).precision == option("native").expects
