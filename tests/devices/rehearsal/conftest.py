"""A rehearsed GPU for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pynvml
import pytest
from rehearsed import ENABLE, Open, loaded, new


@pytest.fixture
def gpu_of(tmp_path: Path) -> Iterator[Open]:
    """gpu_of(model, mig=True, **faults): the handle of a new rehearsed GPU, whose state is alone in `tmp_path`."""
    with ExitStack() as stack:

        def open_one(model: str, mig: bool = True, **faults: Any) -> Any:
            gpu = stack.enter_context(loaded(new(tmp_path, model, **faults)))
            if mig:
                assert pynvml.nvmlDeviceSetMigMode(gpu, ENABLE) == 0
            return gpu

        yield open_one
