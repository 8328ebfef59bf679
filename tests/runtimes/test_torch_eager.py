"""What torch eager asks of its slot. (What each option proves on a CPU: test_options.py.)"""

from __future__ import annotations

from pathlib import Path

import pytest
from optimizations.specimens import Sequences

from bench.contract import Recipe, Slot
from bench.runtimes import torch_eager
from bench.runtimes.torch_eager import TorchEager

from .pretended_graphs import PretendedPlace

ON_CUDA = Slot(index=0, threads=1, executes_on="cuda", gpu="GPU-1")


@pytest.mark.parametrize(("tf32", "precision"), [(True, "tf32"), (False, "ieee")])
def test_tf32_is_a_setting_of_the_slot_and_off_unless_asked_for(
    tf32: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = PretendedPlace()
    monkeypatch.setattr(torch_eager, "on_slot", place.on_slot)
    with TorchEager(tf32=tf32).load(Recipe(Sequences()), Path("unused"), ON_CUDA) as loaded:
        assert loaded.stream is place.stream
        assert loaded.prove(Sequences().inputs(2, seed=0)).precision == "unknown"  # no kernel of a GPU ran here
    assert place.fp32_precision == precision
    assert place.put_there[0] == "model"
