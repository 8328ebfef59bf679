"""A user's Python model: found and identified without running it, loaded with the same weights every time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pydantic
import pytest
from omegaconf import OmegaConf

from bench.errors import ConfigError, InputError
from workloads.user_python import UserPython

CONFIG = Path(__file__).parents[2] / "configs" / "workload" / "python.yaml"
SPECS = {"image": {"shape": [3, 8, 8], "low": 0, "high": 1}, "tokens": {"shape": [5], "dtype": "int64"}}
SOURCE = """
import numpy as np

def net(width=4):
    import torch
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, width), torch.nn.Dropout(0.5))

def doubler():
    return lambda arrays: arrays["x"] * 2

def with_inputs():
    return net(), make

def make(batch_size, seed):
    return {"input": np.random.default_rng(seed).normal(size=(batch_size, 3, 8, 8)).astype("float32")}

def wrong_length(batch_size, seed):
    return {"input": np.zeros((batch_size + 1, 3))}

def fails(batch_size, seed):
    return None

number = 3
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `mine` with a module `models`, whose package must not be run by looking for the module."""
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("import builtins\nbuiltins.mine_was_run = True\n")
    (package / "models.py").write_text(SOURCE)
    (package / "broken.py").write_text("def net(): ...\nraise OSError('no such driver')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def make(**options: Any) -> UserPython:
    return UserPython(**{"factory": "mine.models:net", "inputs": SPECS, **options})


def test_identity_follows_the_source_and_runs_nothing(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    monkeypatch.delattr(builtins, "mine_was_run", raising=False)
    before = make().identity()
    assert json.loads(json.dumps(before)) == before
    assert make(factory="mine.models.net").identity()["sources"]["factory"][1] == before["sources"]["factory"][1]
    assert not hasattr(builtins, "mine_was_run")
    (house / "models.py").write_text(SOURCE + "\n# changed\n")
    assert make().identity() != before
    assert make(files=[str(house / "broken.py")]).identity()["files"]
    assert make(seed=1).identity() != make().identity()


def test_the_same_weights_in_eval_mode_every_time(house: Path) -> None:
    import torch

    first, second = make(kwargs={"width": 7}).load(), make(kwargs={"width": 7}).load()
    assert first is not second
    assert not first.training
    assert torch.equal(first[1].weight, second[1].weight)
    assert first[1].weight.shape == (7, 192)
    assert not torch.equal(first[1].weight, make(kwargs={"width": 7}, seed=1).load()[1].weight)


def test_inputs_as_described(house: Path) -> None:
    workload = make()
    one, again, other = workload.inputs(4, 1), workload.inputs(4, 1), workload.inputs(4, 2)
    assert one["image"].shape == (4, 3, 8, 8)
    assert one["image"].dtype == np.float32
    assert 0 <= one["image"].min() < one["image"].max() < 1
    assert one["tokens"].dtype == np.int64
    np.testing.assert_array_equal(one["image"], again["image"])
    assert not np.array_equal(one["image"], other["image"])
    evaluation = make(items=10).evaluation()
    assert len(evaluation.inputs["image"]) == 10
    assert evaluation.labels is None


def test_inputs_from_functions(house: Path) -> None:
    for workload in (
        make(inputs={}, inputs_factory="mine.models:make"),
        make(inputs={}, factory="mine.models:with_inputs"),
    ):
        assert workload.inputs(3, 0)["input"].shape == (3, 3, 8, 8)
        assert workload.load()(_tensor(workload.inputs(3, 0)["input"])).shape == (3, 4)
        np.testing.assert_array_equal(workload.inputs(3, 5)["input"], workload.inputs(3, 5)["input"])


def _tensor(array: Any) -> Any:
    import torch

    return torch.from_numpy(array)


def test_the_kind_is_an_option(house: Path) -> None:
    workload = make(factory="mine.models:doubler", model="callable", inputs={"x": {"shape": [2]}})
    assert workload.kind == "callable"
    assert make().kind == "torch"
    assert workload.load()(workload.inputs(3, 0)).shape == (3, 2)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("nowhere.models:net", "no Python module 'nowhere.models'"),
        ("mine.nowhere:net", "no Python module 'mine.nowhere'"),
        ("mine.models:absent", "does not mention 'absent'"),
        ("net", "no dotted path"),
        ("mine.models:net()", "no dotted path"),
        ("math:sqrt", "no source file"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_runs(house: Path, factory: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        make(factory=factory).identity()
    assert "workload.factory" in error.value.where
    assert error.value.hint


def test_a_missing_module_is_to_be_put_on_the_path(house: Path) -> None:
    with pytest.raises(InputError, match=r"hint: .*PYTHONPATH"):
        make(factory="nowhere.models:net").identity()
    with pytest.raises(InputError, match="does not exist"):
        make(files=["/nowhere/weights.bin"]).identity()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factory": "mine.broken:net"}, "no such driver"),
        ({"factory": "mine.models:number"}, "no function 'number'"),
        ({"factory": "mine.models:doubler"}, "not an nn.Module"),
        ({"kwargs": {"depth": 3}}, "unexpected keyword"),
    ],
)
def test_what_cannot_be_loaded(house: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**options).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing says"),
        ({"inputs_factory": "mine.models:wrong_length"}, r"shape \(3, 3\)"),
        ({"inputs_factory": "mine.models:fails"}, "NoneType"),
    ],
)
def test_inputs_that_are_none(house: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(inputs={}, **options).inputs(2, 0)


def test_inputs_are_given_once(house: Path) -> None:
    with pytest.raises(ConfigError, match="both"):
        make(inputs_factory="mine.models:make").identity()


@pytest.mark.parametrize(
    "spec",
    [
        {"shape": [0]},
        {"shape": [2], "dtype": "complex64"},
        {"shape": [2], "low": 2, "high": 1},
        {"shape": [2], "dtype": "int8", "high": 300},
        {},
    ],
)
def test_a_wrong_description_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        make(inputs={"x": spec})


def test_the_configuration_composes_once_the_factory_is_named(house: Path) -> None:
    with hydra.initialize_config_dir(str(CONFIG.parent), version_base="1.3"):
        assert OmegaConf.is_missing(hydra.compose("python"), "factory")
        inputs = "inputs={image: {shape: [3, 8, 8], low: 0, high: 1}, tokens: {shape: [5], dtype: int64}}"
        config = hydra.compose("python", ["factory=mine.models:net", inputs, "kwargs={width: 3}"])
    assert hydra.utils.instantiate(config, _convert_="all") == make(kwargs={"width": 3})
