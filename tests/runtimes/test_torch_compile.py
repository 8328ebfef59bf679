"""torch.compile: its modes, and where it runs. What compiles for a GPU is pretended."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from optimizations.specimens import Sequences
from torch._inductor import list_mode_options

from bench.contract import Recipe, Slot
from bench.runtimes import torch_compile
from bench.runtimes.torch.replay import Replayed
from bench.runtimes.torch_compile import GRAPHS, TorchCompile

from .pretended_graphs import PretendedPlace

RECIPE = Recipe(Sequences())
ON_CUDA = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1")
IN_GREEN = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1", sm_share=0.5)
WITH_GRAPHS = ("reduce-overhead", "max-autotune")


class Compilations:
    """torch.compile, which only notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, model: Any, **options: Any) -> Any:
        inspect.signature(COMPILE).bind(model, **options)
        self.asked.append({**options, "caches": caches()})
        return model


COMPILE = torch.compile


def caches() -> tuple[str | None, str | None]:
    return os.environ.get("TORCHINDUCTOR_CACHE_DIR"), os.environ.get("TRITON_CACHE_DIR")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> PretendedPlace:
    made = PretendedPlace()
    monkeypatch.setattr(torch_compile, "on_slot", made.on_slot)
    return made


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compilations]:
    made = Compilations()
    monkeypatch.setattr(torch, "compile", made)
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "unset")
    yield made


@pytest.mark.parametrize("mode", ["default", *WITH_GRAPHS])
def test_it_is_built_on_the_slot_and_loaded_from_the_same_cache(
    mode: Any, tmp_path: Path, place: PretendedPlace, compilations: Compilations
) -> None:
    runtime = TorchCompile(mode=mode)
    runtime.build(RECIPE, tmp_path, 4, ON_CUDA)
    assert place.put_there == ["model", "tensor"]
    with runtime.load(RECIPE, tmp_path, ON_CUDA) as loaded:
        assert loaded.stream is place.stream
        assert isinstance(loaded, Replayed) is (mode in WITH_GRAPHS)
    inductor = tmp_path / "inductor"
    assert {asked["caches"] for asked in compilations.asked} == {(str(inductor), str(inductor / "triton"))}
    assert all(asked["dynamic"] is False for asked in compilations.asked)
    assert compilations.asked[0]["options"] == compilations.asked[1]["options"] == list_mode_options(mode)
    assert not (tmp_path / "instructions.txt").exists()  # those are of a CPU


@pytest.mark.parametrize("mode", WITH_GRAPHS)
def test_what_proves_a_graph_is_the_same_without_it(
    mode: Any, tmp_path: Path, place: PretendedPlace, compilations: Compilations
) -> None:
    with TorchCompile(mode=mode).load(RECIPE, tmp_path, ON_CUDA):
        measured, proved = (asked["options"] for asked in compilations.asked)
    assert measured[GRAPHS] is True
    assert proved == {name: value for name, value in measured.items() if name != GRAPHS}


@pytest.mark.parametrize("mode", WITH_GRAPHS)
def test_graphs_are_refused_in_a_green_context(
    mode: Any, tmp_path: Path, place: PretendedPlace, compilations: Compilations
) -> None:
    runtime = TorchCompile(mode=mode)
    with pytest.raises(RuntimeError, match=f"{mode} .* would run outside the green context"):
        runtime.build(RECIPE, tmp_path, 4, IN_GREEN)
    with pytest.raises(RuntimeError, match="outside the green context"), runtime.load(RECIPE, tmp_path, IN_GREEN):
        pass
    assert not compilations.asked


def test_without_graphs_a_green_context_is_no_matter(
    tmp_path: Path, place: PretendedPlace, compilations: Compilations
) -> None:
    with TorchCompile().load(RECIPE, tmp_path, IN_GREEN):
        assert len(compilations.asked) == 1


def test_what_is_built_fits_one_size_of_slot() -> None:
    assert TorchCompile.slot_specific


def test_inductor_still_has_its_modes() -> None:
    assert set(WITH_GRAPHS) < set(list_mode_options())
    assert [mode for mode in list_mode_options() if list_mode_options(mode).get(GRAPHS)] == list(WITH_GRAPHS)
