"""Model inputs from a user's .npz file: one array per input, whose first axis is the items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.contract import Array
from bench.errors import InputError
from workloads.files import existing

OPTION = "workload.inputs"
CALIBRATION_STRIDE = 4
"""Every fourth item is for calibrating quantisers, the others are for judging them."""


@dataclass(frozen=True)
class ItemFile:
    """The arrays that a graph takes, and how many items there are of each."""

    arrays: Mapping[str, Array]
    count: int

    @property
    def calibrating(self) -> Array:
        """Indices of the items for calibration; all of them where there are too few to share out."""
        every: Array = np.arange(self.count)
        chosen: Array = every[CALIBRATION_STRIDE - 1 :: CALIBRATION_STRIDE]
        return chosen if self.count >= CALIBRATION_STRIDE else every

    @property
    def judged(self) -> Array:
        """Indices of the items for evaluation, in order."""
        every: Array = np.arange(self.count)
        others: Array = every[every % CALIBRATION_STRIDE != CALIBRATION_STRIDE - 1]
        return others if self.count >= CALIBRATION_STRIDE else every

    def take(self, indices: Array) -> Mapping[str, Array]:
        return {name: array[indices] for name, array in self.arrays.items()}


def read(path: str, names: set[str]) -> ItemFile:
    """The file's arrays of these names; an `InputError` unless it has all, equally long."""
    found = existing(path, OPTION)
    stored = _load(found)
    lengths = {name: len(array) if array.ndim else 0 for name, array in stored.items()}
    counts = {lengths.get(name, 0) for name in names}
    if len(counts) != 1 or not all(counts):
        holds = ", ".join(f"{name} ({length} items)" for name, length in lengths.items()) or "nothing"
        raise InputError(
            f"it holds {holds}, and the graph takes {', '.join(sorted(names))}",
            where=f"{OPTION}={found}",
            hint="store one array per input, all with the same number of items as their first axis",
        )
    return ItemFile({name: stored[name] for name in sorted(names)}, counts.pop())


def _load(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored.items())
    except Exception as error:  # zip, zlib, numpy and pickle errors alike
        raise InputError(
            f"{path} is not an .npz file of arrays: {error}",
            where=OPTION,
            hint="write it with numpy.savez(path, input_name=array, ...), numbers only",
        ) from error
