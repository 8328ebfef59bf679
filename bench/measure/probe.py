"""Does the tenant run the model whose quality was judged? Its outputs on a few items, against those of the judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LIMIT = 0.05
"""Relative distance that the same model may show with other threads or batch sizes (bf16 and int8 round)."""


def distance(outputs: npt.NDArray[Any], path: str) -> float:
    """||outputs - expected|| / ||expected|| against the array stored at `path`."""
    expected = np.load(Path(path), allow_pickle=False)
    if expected.shape != outputs.shape:
        return float("inf")
    scale = float(np.linalg.norm(expected)) or 1.0
    return float(np.linalg.norm(outputs.astype(np.float64) - expected)) / scale
