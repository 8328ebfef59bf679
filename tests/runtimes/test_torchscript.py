"""TorchScript where it is traced, and where it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optimizations.specimens import Squares

from bench.contract import Recipe, Slot
from bench.runtimes import torchscript
from bench.runtimes.torch_eager import TorchEager
from bench.runtimes.torchscript import TorchScript

from .pretended_graphs import PretendedPlace

RECIPE = Recipe(Squares())
ON_CPU = Slot(index=0, threads=1)
ON_CUDA = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1")


@pytest.mark.parametrize("optimize", [True, False])
def test_on_a_gpu_it_is_traced_there_and_loaded_to_there(
    optimize: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, loaded_to, load = PretendedPlace(), [], torch.jit.load

    def loading(path: str, map_location: str) -> Any:
        loaded_to.append(map_location)
        return load(path, map_location="cpu")

    monkeypatch.setattr(torchscript, "on_slot", place.on_slot)
    monkeypatch.setattr(torch.jit, "load", loading)
    runtime = TorchScript(optimize=optimize)
    runtime.build(RECIPE, tmp_path, 4, ON_CUDA)
    assert place.put_there == ["model", "tensor"]
    inputs = RECIPE.workload.inputs(4, seed=1)
    with runtime.load(RECIPE, tmp_path, ON_CUDA) as loaded:
        assert loaded.stream is place.stream
        answer = loaded.outputs(loaded.bind(inputs)())
    assert loaded_to == ["cuda:0"]
    with TorchEager().load(RECIPE, tmp_path, ON_CPU) as eager:
        np.testing.assert_allclose(answer, eager.outputs(eager.bind(inputs)()), rtol=1e-4, atol=1e-5)
