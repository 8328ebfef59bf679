"""What a slot was measured to reach at most: floating-point operations per second by precision, and bytes per second.

Measured by a builder (`rates.py`). Of a CPU once, and kept in the artifact cache. Of a GPU once per run and partition,
and kept nowhere: trials are held to it closely, and a rate of an hour in which the GPU was hot, or in use, would call
those of later runs impossible. Data sheets are no substitute: their figures are of clocks that a power limit, a MIG
slice or a green context never has.
This is the conductor's end, which imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.contract import Device, Slot
from bench.feasibility import missing, torch_infeasible
from bench.measure.build import Builders, find_or_make, in_builder
from bench.measure.link import ChildFailed

RATES = "rates.json"
LIMIT_S = 120.0
SOURCE = Path(__file__).with_name("rates.py")
"""A change there measures anew."""
SPARSE = "_2to4"
"""Ends the name of a precision whose weights are stored without half of their values."""


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
        if precision.endswith(SPARSE):  # half of the multiplications are left out
            return 2 * self.flop_ceiling(precision.removesuffix(SPARSE), slot)
        known = [rate for name in _multiplied_in(precision) if (rate := self.flop_per_s.get(name))]
        return max(known, default=math.nan) * (slot.threads if slot.executes_on == "cpu" else 1)


def find_or_measure(cache: Path, device: Device, slot: Slot, environment: Mapping[str, str]) -> Ceilings:
    """Of slots like this one. That nothing could be measured is no failure: no trial is held to it."""
    if reason := _impossible(device):
        return Ceilings(unknown=reason)
    try:
        if device.executes_on == "cuda":
            return _ceilings(_measure(slot, environment))
        return _kept(cache, device, slot, environment)
    except ChildFailed as error:
        return Ceilings(unknown=f"what this device reaches could not be measured: {error.reason}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Ceilings(unknown=f"what was measured of this device cannot be read: {error!r}")


def _kept(cache: Path, device: Device, slot: Slot, environment: Mapping[str, str]) -> Ceilings:
    """Of a CPU, whose slots are all alike."""

    def make(folder: Path) -> dict[str, float]:
        found = _measure(slot, environment)
        (folder / RATES).write_text(json.dumps(found, indent=1))
        return {"measure_s": float(found["measure_s"])}

    kept = find_or_make(cache, f"ceilings-{_key(device)}", make)
    return _ceilings(json.loads((kept.folder / RATES).read_text()))


def _measure(slot: Slot, environment: Mapping[str, str]) -> dict[str, Any]:
    return in_builder(Builders(environment), "reach", slot, LIMIT_S, "measuring the ceilings")


def _ceilings(found: Mapping[str, Any]) -> Ceilings:
    rates = {str(precision): float(rate) for precision, rate in found["flop_per_s"].items()}
    return Ceilings(rates, float(found["bytes_per_s"]), float(found["l2_bytes"]))


def _multiplied_in(precision: str) -> tuple[str, ...]:
    """Weights of four bits are widened before they are multiplied, to one or the other."""
    return ("bf16", "fp16") if precision == "int4wo" else (precision,)


def _impossible(device: Device) -> str | None:
    if device.rehearsal:
        return "a rehearsed GPU has no speed"
    return missing(("torch",), "measuring what this device reaches") or torch_infeasible(device)


def _key(device: Device) -> str:
    content = {
        "device": device.built_for,
        "torch": metadata.version("torch"),
        "source": hashlib.sha256(SOURCE.read_bytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]
