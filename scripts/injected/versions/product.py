"""A model that computes: products of matrices, with all the noise that processes have; slower by more of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PRODUCTS = 200
SLOWER = Path(__file__).with_name("slower.txt")


def make() -> Callable[[Any], Any]:
    slower = float(SLOWER.read_text()) if SLOWER.exists() else 0.0
    matrix = np.random.default_rng(0).random((96, 96), dtype=np.float32) / 96
    times = range(round(PRODUCTS * (1 + slower)))

    def call(inputs: Any) -> Any:
        found = matrix
        for _ in times:
            found = found @ matrix
        return inputs["item"] + found[0, 0]

    return call
