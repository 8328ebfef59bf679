"""Tenants that press on one part of a device and little else: what a victim is measured beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from bench.contract import Arrays, Evaluation, Workload, plugin

Load = Literal["compute", "memory", "cache", "bursty"]
MIB = 2**20
WORKING_SET_BYTES: Mapping[Load, int] = {
    "compute": 3 * MIB,  # fits what a core has of its own, and leaves the memory alone
    "memory": 1024 * MIB,  # far more than any last-level cache that most machines have
    "cache": 32 * MIB,  # about the last-level cache of many devices
    "bursty": 3 * MIB,
}
Milliseconds = Annotated[float, pydantic.Field(gt=0, le=60_000, allow_inf_nan=False)]


@plugin
class Neighbour(Workload):
    """`load` is what it does without pause:

    compute: fp32 matrix products out of a small working set.
    memory: streams (a = b + s c, STREAM's triad) over a large one.
    cache: gathers random lines of a table about as large as the last-level cache, and so drives others' lines out.
    bursty: computes for `burst_ms`, does nothing for `pause_ms`, and both together are one request.

    `working_set_bytes`: null for what the load usually has. What comes out means nothing, and is not judged.
    """

    # Called `load` by users; the contract has a method of that name.
    pressure: Load = pydantic.Field(validation_alias="load")
    working_set_bytes: Annotated[int, pydantic.Field(ge=2**16, le=2**40)] | None = None
    burst_ms: Milliseconds = 50.0
    pause_ms: Milliseconds = 50.0

    @property
    def size_bytes(self) -> int:
        """The working set of this load."""
        return self.working_set_bytes or WORKING_SET_BYTES[self.pressure]

    def identity(self) -> Mapping[str, Any]:
        bursts = {"burst_ms": self.burst_ms, "pause_ms": self.pause_ms} if self.pressure == "bursty" else {}
        return {"load": self.pressure, "working_set_bytes": self.size_bytes, **bursts}

    def load(self) -> Any:
        from workloads import neighbour_loads as loads

        if self.pressure == "memory":
            return loads.Triad(self.size_bytes).eval()
        if self.pressure == "cache":
            return loads.Gather(self.size_bytes).eval()
        if self.pressure == "bursty":
            return loads.Bursts(self.size_bytes, round(self.burst_ms * 1e6), self.pause_ms / 1e3).eval()
        return loads.Products(self.size_bytes).eval()

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        """`item`: float32 [batch_size, 1]; only its length matters."""
        return {"item": np.full((batch_size, 1), seed, dtype=np.float32)}

    def evaluation(self) -> Evaluation | None:
        return None  # what comes out is what went in: there is nothing to be right or wrong about
