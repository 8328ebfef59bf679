"""A specimen whose duration is known, to test the instrument with: it can also misbehave in known ways.

Like the bursts of `neighbour_loads.py` it reads a clock, as otherwise only `bench/clock.py` does: a specimen of known
duration has to watch the time itself, or its duration would be that of some computation, which nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pydantic

from bench.contract import Array, Arrays, Evaluation, Workload, plugin
from workloads.calibration_faults import FAULTS, Fault, drifted_ns

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


@plugin
class Calibration(Workload):
    """Each item takes `duration_ms`, so a batch of n takes n times that, by spinning or by sleeping.

    `fault` happens at the request after `fault_after_requests` good ones in one process (warm-up counts).
    """

    mode: Literal["spin", "sleep"] = "spin"
    duration_ms: Positive = 1.0
    fault: Fault = "none"
    fault_after_requests: pydantic.NonNegativeInt = 0

    kind: ClassVar[str] = "callable"
    default_baseline: ClassVar[str] = "native"

    def identity(self) -> Mapping[str, Any]:
        return {
            "mode": self.mode,
            "duration_ms": self.duration_ms,
            "fault": self.fault,
            "fault_after_requests": self.fault_after_requests,
        }

    def load(self) -> Specimen:
        return Specimen(self.mode, round(self.duration_ms * 1e6), self.fault, self.fault_after_requests)

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        """`item`: float32 [batch_size, 1]; only its length matters."""
        return {"item": np.full((batch_size, 1), seed, dtype=np.float32)}

    def evaluation(self) -> Evaluation | None:
        return None  # what comes out is what went in: there is nothing to be right or wrong about


class Specimen:
    """The callable: takes {"item": float32 [n, 1]} and returns `item` after n times the duration of one."""

    def __init__(self, mode: str, item_ns: int, fault: Fault, fault_after_requests: int) -> None:
        self._wait: Callable[[int], None] = _spin if mode == "spin" else _sleep
        self._item_ns = item_ns
        self._fault = fault
        self._good_requests = fault_after_requests
        self._requests = 0

    def __call__(self, inputs: Arrays) -> Array:
        item = inputs["item"]
        duration_ns = self._item_ns * len(item)
        if self._fault != "none":
            duration_ns = self._misbehave(duration_ns)
        self._wait(duration_ns)
        return item

    def _misbehave(self, duration_ns: int) -> int:
        """Do what `fault` says if its time has come; returns how long the request shall take."""
        self._requests += 1
        late = self._requests - self._good_requests
        if late <= 0:
            return duration_ns
        if self._fault == "unsteady":
            return drifted_ns(duration_ns, late)
        if late == 1:
            FAULTS[self._fault]()
        return duration_ns


def _spin(duration_ns: int) -> None:
    """Keep one core busy: a duration that no scheduler's timer rounds up."""
    end_ns = time.perf_counter_ns() + duration_ns
    while time.perf_counter_ns() < end_ns:
        pass


def _sleep(duration_ns: int) -> None:
    """Leave the core idle; the kernel's timer adds some 50 to 100 microseconds."""
    time.sleep(duration_ns / 1e9)
