"""Users add options of every kind from a folder of their own, without touching bench."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from harness import SHORT, lines, run_bench, run_folders

RUNTIME = '''
"""A runtime of the user's: calls the model twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import pydantic

from bench.contract import Loaded, Recipe, Slot, plugin
from bench.runtimes.python_call import CallableLoaded, PythonCall


@plugin
class Repeated(PythonCall):
    """Calls it `times` times."""

    times: Annotated[int, pydantic.Field(ge=1)] = 2

    @contextmanager
    def load(self, recipe: Recipe, folder: Path, slot: Slot) -> Iterator[Loaded]:
        model = recipe.workload.load()

        def repeated(inputs):
            for _ in range(self.times):
                result = model(inputs)
            return result

        yield CallableLoaded(repeated)
'''
PASS = '''
from typing import Any

from bench.contract import Pass, Workload, plugin


@plugin
class Halved(Pass):
    """Halves all weights."""

    def apply(self, model: Any, workload: Workload) -> Any:
        import torch

        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.5)
        return model
'''
PARTITION = '''
from bench.contract import Device, Partition, Slot, plugin


@plugin
class Crowd(Partition):
    """Three tenants with one thread each."""

    def slots(self, device: Device) -> tuple[Slot, ...]:
        return tuple(Slot(index=index, threads=1, env={"CROWD": str(index)}) for index in range(3))
'''
WORKLOAD = '''
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from bench.contract import Arrays, Evaluation, Workload, plugin


@plugin
class Parity(Workload):
    """Odd or even?"""

    numbers: int = 16

    kind: ClassVar[str] = "callable"
    default_baseline: ClassVar[str] = "native"

    def identity(self) -> Mapping[str, Any]:
        return {"numbers": self.numbers}

    def load(self) -> Any:
        def model(arrays: Arrays) -> Any:
            time.sleep(0.0005)
            odd = arrays["number"][:, 0] % 2
            return np.stack([1 - odd, odd], axis=1)

        return model

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        return {"number": np.random.default_rng(seed).integers(0, 100, (batch_size, 1))}

    def evaluation(self) -> Evaluation:
        numbers = np.arange(self.numbers)
        labels = (numbers % 2).copy()
        labels[0] = 1  # one that no model gets right
        return Evaluation({"number": numbers[:, None]}, labels)
'''
MODEL = """
def model(width):
    import torch
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A config folder with one plug-in of each kind, its Python beside it."""
    folder = tmp_path / "mine"
    for group in ("optimizations", "partitions", "workload"):
        (folder / group).mkdir(parents=True)
    for name, code in (
        ("my_runtime", RUNTIME), ("my_pass", PASS), ("my_partition", PARTITION), ("my_workload", WORKLOAD),
        ("my_model", MODEL),
    ):  # fmt: skip
        (folder / f"{name}.py").write_text(code)
    (folder / "optimizations" / "twice.yaml").write_text(
        "# Calls the model twice.\ntwice:\n  _target_: bench.contract.Optimization\n  expects: native\n"
        "  runtime: {_target_: my_runtime.Repeated, times: 2}\n"
    )
    (folder / "optimizations" / "halved.yaml").write_text(
        "halved:\n  _target_: bench.contract.Optimization\n  expects: fp32\n  passes:\n"
        "    - {_target_: my_pass.Halved}\n  runtime: {_target_: bench.runtimes.torch_eager.TorchEager}\n"
    )
    (folder / "partitions" / "crowd.yaml").write_text("# Three tenants.\ncrowd:\n  _target_: my_partition.Crowd\n")
    (folder / "workload" / "parity.yaml").write_text("# Odd or even.\n_target_: my_workload.Parity\nnumbers: 8\n")
    return folder


def only_run(cwd: Path) -> list[dict]:
    (folder,) = run_folders(cwd / "results")
    return lines(folder)


@pytest.mark.parametrize("way", ["--config-dir", "BENCH_CONFIG_PATH"])
def test_plug_ins_of_ones_own_run_like_ours(mine: Path, tmp_path: Path, way: str) -> None:
    flags = ("--config-dir", str(mine)) if way == "--config-dir" else ()
    env = {"BENCH_CONFIG_PATH": f"{mine}{os.pathsep}"} if way == "BENCH_CONFIG_PATH" else None
    result = run_bench(
        "run", "workload=parity", "optimizations=[native,twice]", "partitions=[crowd]", *SHORT,
        "protocol.blocks=1", "protocol.window_s=0.25", *flags, cwd=tmp_path, env=env,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    trials = {trial["optimization"]: trial for trial in only_run(tmp_path)}
    assert set(trials) == {"native", "twice"}
    for trial in trials.values():
        assert trial["status"] in ("ok", "invalid"), trial["reason"]
        assert (trial["workload"], trial["partition"], trial["tenants"]) == ("parity", "crowd", 3)
        assert (trial["quality"]["items"], trial["quality"]["accuracy"]) == (8, 7 / 8)
    assert trials["twice"]["latency_ms"]["p50"] > 1.3 * trials["native"]["latency_ms"]["p50"]

    (folder,) = run_folders(tmp_path / "results")  # and it can be resumed without naming the folder again
    assert run_bench("run", "--resume", str(folder), cwd=tmp_path).returncode == 0


def test_they_are_listed_with_their_sentence(mine: Path, tmp_path: Path) -> None:
    found = json.loads(run_bench("list", "--json", "--config-dir", str(mine), cwd=tmp_path).stdout)
    assert {"twice", "halved", "native", "fp32"} <= set(found["optimizations"])
    assert "crowd" in found["partitions"]
    assert "parity" in found["workload"]
    text = run_bench("list", cwd=tmp_path, env={"BENCH_CONFIG_PATH": str(mine)}).stdout
    assert re.search("^  crowd +Three tenants[.]$", text, re.M)


def test_their_options_are_checked_and_overridden_like_ours(mine: Path, tmp_path: Path) -> None:
    wanted = ("workload=parity", "optimizations=[native,twice]", "--config-dir", str(mine))
    result = run_bench("plan", *wanted, "optimizations.twice.runtime.times=0", cwd=tmp_path)
    assert result.returncode == 2
    assert "optimizations.twice.runtime.times" in result.stderr
    result = run_bench("plan", *wanted, "optimizations.twice.runtime.times=5", "--config", cwd=tmp_path)
    assert json.loads(result.stdout)[0]["optimizations"]["twice"]["runtime"]["times"] == 5


def test_an_option_of_theirs_comes_before_ours_of_the_same_name(mine: Path, tmp_path: Path) -> None:
    (mine / "optimizations" / "native.yaml").write_text(
        (mine / "optimizations" / "twice.yaml").read_text().replace("twice:", "native:")
    )
    (mine / "workload" / "calibration.yaml").write_text(
        "_target_: workloads.calibration.Calibration\nduration_ms: 3.0\n"
    )
    wanted = ("workload=calibration", "optimizations=[native]", "--config")
    ours = json.loads(run_bench("plan", *wanted, cwd=tmp_path).stdout)[0]
    theirs = json.loads(run_bench("plan", *wanted, "--config-dir", str(mine), cwd=tmp_path).stdout)[0]
    assert ours["optimizations"]["native"]["runtime"]["_target_"] == "bench.runtimes.python_call.PythonCall"
    assert theirs["optimizations"]["native"]["runtime"]["_target_"] == "my_runtime.Repeated"
    assert (ours["workload"]["duration_ms"], theirs["workload"]["duration_ms"]) == (1.0, 3.0)


def test_the_folder_named_first_comes_first(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "workload"
    other.mkdir(parents=True)
    (other / "parity.yaml").write_text("_target_: my_workload.Parity\nnumbers: 99\n")
    wanted = ("plan", "workload=parity", "optimizations=[native]", "--config")
    both = ["--config-dir", str(other.parent), "--config-dir", str(mine)]
    for order, numbers in ((both, 99), ([both[2], both[3], both[0], both[1]], 8)):
        assert json.loads(run_bench(*wanted, *order, cwd=tmp_path).stdout)[0]["workload"]["numbers"] == numbers


def test_a_changed_plug_in_is_built_again(mine: Path, tmp_path: Path) -> None:
    wanted = (
        "run", "workload=parity", "optimizations=[twice]", "baseline=twice", *SHORT, "protocol.blocks=1",
        "--config-dir", str(mine), f"cache_dir={tmp_path / 'cache'}",
    )  # fmt: skip

    def built() -> int:
        result = run_bench(*wanted, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return len(list((tmp_path / "cache").glob("runtime-*")))

    assert built() == 1
    assert built() == 1
    (mine / "my_runtime.py").write_text(RUNTIME + "\n# better\n")
    assert built() == 2


def test_a_change_of_the_configuration_between_run_and_resume_is_refused(mine: Path, tmp_path: Path) -> None:
    result = run_bench(
        "run", "workload=parity", "optimizations=[native]", *SHORT, "protocol.blocks=1", "--config-dir", str(mine),
        cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(tmp_path / "results")
    (mine / "workload" / "parity.yaml").write_text("_target_: my_workload.Parity\nnumbers: 9\n")
    result = run_bench("run", "--resume", str(folder), cwd=tmp_path)
    assert result.returncode == 2
    assert "configuration has changed" in result.stderr


def test_a_torch_pass_of_ones_own_on_a_model_of_ones_own(mine: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = run_bench(
        "run", "workload=python", "workload.factory=my_model:model", "workload.kwargs={width: 8}",
        "workload.inputs={input: {shape: [4]}}", "optimizations=[fp32,halved]", *SHORT, "protocol.blocks=1",
        "--config-dir", str(mine), cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    trials = {trial["optimization"]: trial for trial in only_run(tmp_path)}
    for trial in trials.values():
        assert trial["status"] in ("ok", "invalid"), trial["reason"]
        assert trial["proof"]["precision"] == "fp32"
    assert trials["fp32"]["quality"]["mean_kl_nats"] == 0
    assert trials["halved"]["quality"]["mean_kl_nats"] > 0
