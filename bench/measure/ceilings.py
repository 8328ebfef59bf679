"""What a slot was measured to reach at most: floating-point operations per second by precision, and bytes per second.

Measured once per kind of slot in a process of its own (`rates.py`) and kept in the artifact cache, as artifacts are.
Data sheets are no substitute: their figures are of clocks that a power limit, a MIG slice or a green context never has.
This is the conductor's end, which imports no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import clock
from bench.contract import Device, Slot, importable
from bench.feasibility import torch_infeasible
from bench.isolation.process import Processes
from bench.measure import artifacts
from bench.measure.link import ChildFailed, Link, await_events

RATES = "rates.json"
LIMIT_S = 120.0
SOURCES = (Path(__file__).with_name("rates.py"), Path(__file__).parents[1] / "runtimes" / "cuda_slot.py")
"""A change there measures anew."""
MPS_SHARE = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"


@dataclass(frozen=True)
class Ceilings:
    """flop_per_s: by precision, as in `Proof`; one that torch has no fast kernel for is absent. On a CPU of one thread.
    bytes_per_s: read and written together, and l2_bytes of the cache in front of them; only on a GPU. NaN: not known,
    and `unknown` says why nothing is."""

    flop_per_s: Mapping[str, float] = field(default_factory=dict)
    bytes_per_s: float = math.nan
    l2_bytes: float = math.nan
    unknown: str | None = None

    def flop_ceiling(self, precision: str, slot: Slot) -> float:
        """Operations per second of a slot in this precision; NaN: not known.

        On a CPU one thread's rate times the slot's threads: an upper bound. Several threads measured together
        may by bad luck run at the rate of one for as long as their process lives, and a ceiling that is too low would
        call honest trials impossible."""
        if precision == "fp16_2to4":  # half of the multiplications are left out
            return 2 * self.flop_ceiling("fp16", slot)
        known = [rate for name in _multiplied_in(precision) if (rate := self.flop_per_s.get(name))]
        return max(known, default=math.nan) * (slot.threads if slot.executes_on == "cpu" else 1)


def find_or_measure(
    cache: Path, device: Device, partition: Mapping[str, Any], slot: Slot, environment: Mapping[str, str]
) -> Ceilings:
    """Of slots like this one: `partition` is its configuration, since slices of as many multiprocessors may differ in
    their memory. On a CPU all slots are alike. That nothing could be measured is no failure: no trial is held to it."""
    if reason := _impossible(device):
        return Ceilings(unknown=reason)
    name = f"ceilings-{_key(device, partition, slot)}"
    if found := _read(cache, name):
        return found
    with artifacts.locked(cache, name):
        if found := _read(cache, name):
            return found
        folder = artifacts.fresh_folder(cache, name)
        try:
            spent_s = _in_process(slot, folder, environment)
        except ChildFailed as error:
            return Ceilings(unknown=f"what this device reaches could not be measured: {error.reason}")
        artifacts.finish(cache, name, {"measure_s": spent_s})
    return _read(cache, name) or Ceilings(unknown="what was measured of this device could not be read")


def _multiplied_in(precision: str) -> tuple[str, ...]:
    """Weights of four bits are widened before they are multiplied, to one or the other."""
    return ("bf16", "fp16") if precision == "int4wo" else (precision,)


def _impossible(device: Device) -> str | None:
    if device.rehearsal:
        return "a rehearsed GPU has no speed"
    if not importable("torch"):
        return "what this device reaches is measured by torch, which is not installed"
    return torch_infeasible(device)


def _key(device: Device, partition: Mapping[str, Any], slot: Slot) -> str:
    content: dict[str, Any] = {
        "device": device.built_for,
        "executes_on": device.executes_on,
        "torch": metadata.version("torch"),
        "sources": [hashlib.sha256(path.read_bytes()).hexdigest() for path in SOURCES],
    }
    if device.executes_on == "cuda":
        content |= {
            "driver": device.gpu.driver_version if device.gpu else None,
            "partition": partition,
            "sm_count": slot.sm_count,
            "sm_share": slot.sm_share,
            "mps_share": slot.env.get(MPS_SHARE),
        }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _read(cache: Path, name: str) -> Ceilings | None:
    if artifacts.find(cache, name) is None:
        return None
    try:
        content = json.loads((cache / name / RATES).read_text())
        rates = {str(precision): float(rate) for precision, rate in content["flop_per_s"].items()}
        return Ceilings(rates, float(content["bytes_per_s"]), float(content["l2_bytes"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _in_process(slot: Slot, folder: Path, environment: Mapping[str, str]) -> float:
    """Seconds that measuring took, after torch was imported."""
    link = Link(Processes().start(["bench.measure.rates"], slot, environment), "measuring the ceilings")
    try:
        link.send(slot=dataclasses.asdict(slot), folder=str(folder))
        answer = await_events([link], "measured", clock.now_ns() + int(LIMIT_S * clock.NS_PER_S))[0]
    finally:
        link.end()
    return float(answer["measure_s"])
