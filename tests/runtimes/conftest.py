"""Graphs that take seconds to make, and that several files of tests look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from bench.contract import Array, Evaluation, Recipe

from .onnx_graphs import WORKLOADS, run


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A workload's graph in float32, by the workload's name."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def of(name: str) -> Path:
        from bench.runtimes.onnx.export import export

        path = folder / f"{name}.onnx"
        export(Recipe(WORKLOADS[name]), path)
        return path

    return of


@pytest.fixture(scope="session")
def expected(exported: Callable[[str], Path]) -> Callable[[str], tuple[Evaluation, Array]]:
    """A workload's evaluation data, and what its graph in float32 answers to them."""

    @cache
    def of(name: str) -> tuple[Evaluation, Array]:
        evaluation = WORKLOADS[name].evaluation()
        return evaluation, run(exported(name), evaluation.inputs)

    return of
