"""Inputs made from a seed, as the user describes them."""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np
import pydantic

from bench.contract import Array

EVALUATION_SEED = 20_000
"""Apart from the seeds of requests (small) and of calibration batches (10,000 and a few more)."""

Dtype = Literal[
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
]


class InputSpec(pydantic.BaseModel):
    """One input of a model. `shape` is that of one item, without the batch.

    Values: floats are standard normal unless `low` or `high` is given, then uniform in [low, high) (0 and 1
    where only one is given); integers are uniform in [low, high) (0 and 100); booleans are fair coins.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    shape: tuple[pydantic.PositiveInt, ...]
    dtype: Dtype = "float32"
    low: float | None = None
    high: float | None = None

    @pydantic.model_validator(mode="after")
    def _check_range(self) -> InputSpec:
        low, high = self.range()
        if not low < high:
            raise ValueError(f"low ({low:g}) must be below high ({high:g})")
        if self.dtype.startswith(("int", "uint")):
            limits = np.iinfo(self.dtype)
            if low < limits.min or high - 1 > limits.max:
                raise ValueError(f"{self.dtype} cannot hold values from {low:g} to {high:g}")
        return self

    def range(self) -> tuple[float, float]:
        """The half-open range of uniform values."""
        default_high = 1.0 if self.dtype.startswith("float") else 100.0
        return (
            0.0 if self.low is None else self.low,
            default_high if self.high is None else self.high,
        )

    def make(self, name: str, batch_size: int, seed: int) -> Array:
        """An array [batch_size, *shape] that depends on the seed and the input's name only."""
        random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        shape = (batch_size, *self.shape)
        low, high = self.range()
        if self.dtype == "bool":
            return random.integers(0, 2, shape).astype(bool)
        if not self.dtype.startswith("float"):
            return random.integers(int(low), int(high), shape, dtype=np.dtype(self.dtype))
        if self.low is None and self.high is None:
            return random.standard_normal(shape).astype(self.dtype)
        return random.uniform(low, high, shape).astype(self.dtype)
