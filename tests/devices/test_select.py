"""Which GPU is meant."""

from __future__ import annotations

import pytest

from bench.devices.select import _allotted
from bench.errors import ConfigError, InfeasibleHere

ONE = ("GPU-aaaa-1",)
TWO = ("GPU-aaaa-1", "GPU-bbbb-2")


@pytest.mark.parametrize(
    ("gpus", "visible", "meant"),
    [
        (TWO, None, "GPU-aaaa-1"),
        (TWO, "GPU-bbbb-2", "GPU-bbbb-2"),
        (TWO, "GPU-bbbb", "GPU-bbbb-2"),
        (TWO, "GPU-bbbb-2,GPU-aaaa-1", "GPU-bbbb-2"),
        (ONE, "0", "GPU-aaaa-1"),
    ],
)
def test_the_gpu_that_is_allotted(gpus: tuple[str, ...], visible: str | None, meant: str) -> None:
    assert _allotted(gpus, visible) == meant


@pytest.mark.parametrize(
    ("gpus", "visible"),
    [(TWO, "0"), (TWO, "1"), (ONE, "1"), (TWO, "GPU-"), (TWO, "GPU-c"), (TWO, "MIG-x")],
)
def test_what_does_not_say_which_is_an_error(gpus: tuple[str, ...], visible: str) -> None:
    with pytest.raises(ConfigError, match="which GPU is meant") as raised:
        _allotted(gpus, visible)
    assert "gpu.device=" in raised.value.hint and gpus[0] in raised.value.hint


@pytest.mark.parametrize("visible", ["", "-1"])
def test_hidden_gpus_are_no_gpus(visible: str) -> None:
    with pytest.raises(InfeasibleHere, match="hides all"):
        _allotted(TWO, visible)
