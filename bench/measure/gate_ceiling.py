"""The part of the gate that knows what is impossible: work done faster than the slot was measured to reach. Pure.

A trial above that is not what it seems: work was left out, or a clock was read before the work was done. As in gate.py,
what is not known (NaN) is not held against a trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import Slot
from bench.measure.ceilings import SPARSE, Ceilings
from bench.measure.work import Work

GPU_LIMIT = 1.05
"""Achieved over measured: both are exact to some per cent."""
CPU_LIMIT = 3.0
"""Wider, for torch's kernels are no ceiling for those of others (ONNX Runtime was seen to multiply int8 1.4 times as
fast on one core), and while the ceiling was measured the clock may have been lower, or a neighbour have had up to half
of the core. Work that was left out, which this is for, lies far above."""
WIDTH_BYTES = {
    "fp64": 8.0, "fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0, "fp8": 1.0, "int4wo": 0.5,
    "int64": 8.0, "int32": 4.0,
}  # fmt: skip
"""At least, of a value that a layer of this precision reads. Weights stored as 2:4 have half of it."""
UNTOLD = frozenset({"unknown", "native", "none"})
"""What a proof says that cannot tell a precision: it may be any."""
NO_FASTER_THAN = {"fp64": "fp32", "int64": "fp32", "int32": "fp32"}
"""Precisions that are not measured, for no processor multiplies in them faster than in another that is."""
SHOWN_LENGTH = 40


@dataclass(frozen=True)
class Reached:
    """What one tenant reached, and what its slot was measured to reach. NaN: not known.

    flop_per_s: by the direct count, which people know; least_flop_per_s: by the fastest algorithms, which is judged.
    flop_ceiling: in the proved precision; flop_bound: in the fastest that any of its heavy operators ran in.
    bytes_per_s: what its requests must fetch from beyond the last-level cache; on a GPU alone.
    unnamed: precisions that its proof names and bench does not know.
    """

    on_gpu: bool
    precision: str
    flop_per_s: float
    least_flop_per_s: float
    flop_ceiling: float
    flop_bound: float
    bytes_per_s: float
    bytes_ceiling: float
    unnamed: tuple[str, ...] = ()

    @property
    def ceiling_share(self) -> float:
        return self.flop_per_s / self.flop_ceiling

    @property
    def bound_share(self) -> float:
        return self.least_flop_per_s / self.flop_bound

    @property
    def bytes_share(self) -> float:
        return self.bytes_per_s / self.bytes_ceiling


def reached(
    work: Work, ceilings: Ceilings, slot: Slot, proof: Mapping[str, Any], items_per_s: float, batch_size: int
) -> Reached:
    precision = str(proof["precision"])
    ran = sorted({precision, *map(str, proof.get("operators", ()))})
    width_bytes = min(map(_width_bytes, ran))
    request_bytes = width_bytes * (work.weights + batch_size * work.values_per_item) - ceilings.l2_bytes
    return Reached(
        on_gpu=slot.executes_on == "cuda",
        precision=precision,
        flop_per_s=work.flops_per_item * items_per_s,
        least_flop_per_s=work.least_flops_per_item * items_per_s,
        flop_ceiling=ceilings.flop_ceiling(precision, slot),
        flop_bound=float(np.max([_bound(ceilings, name, slot) for name in ran])),  # NaN stays NaN
        bytes_per_s=request_bytes * items_per_s / batch_size if request_bytes > 0 else math.nan,
        bytes_ceiling=ceilings.bytes_per_s,
        unnamed=tuple(name for name in ran if not _named(name)),
    )


def _named(precision: str) -> bool:
    return precision in UNTOLD or precision.removesuffix(SPARSE) in WIDTH_BYTES


def _width_bytes(precision: str) -> float:
    dense = precision.removesuffix(SPARSE)
    return WIDTH_BYTES.get(dense, min(WIDTH_BYTES.values())) / (1 if precision == dense else 2)


def _bound(ceilings: Ceilings, precision: str, slot: Slot) -> float:
    """What is not told is bounded by the fastest that is known. NaN: a precision with a name that torch has no fast
    kernel for here, though another library may (int8 on many CPUs): nothing that was measured bounds it."""
    if precision not in UNTOLD and _named(precision):
        return ceilings.flop_ceiling(NO_FASTER_THAN.get(precision, precision), slot)
    return max((ceilings.flop_ceiling(name, slot) for name in ceilings.flop_per_s), default=math.nan)


def reasons(tenants: Sequence[Reached]) -> list[str]:
    """Of each check the first tenant's."""
    found = (next(filter(None, map(check, tenants)), None) for check in CHECKS)
    return [reason for reason in found if reason]


def numbers(tenants: Sequence[Reached]) -> dict[str, float]:
    """For a trial's line. What was achieved is the sum over tenants; a ceiling is of one tenant's slot, and a share the
    mean over tenants of what each achieved of it."""
    return {
        "achieved_flop_per_s": sum(t.flop_per_s for t in tenants),
        "ceiling_flop_per_s": _mean([t.flop_ceiling for t in tenants]),
        "ceiling_share": _mean([t.ceiling_share for t in tenants]),
        "achieved_bytes_per_s": sum(t.bytes_per_s for t in tenants),
        "ceiling_bytes_per_s": _mean([t.bytes_ceiling for t in tenants]),
        "bytes_share": _mean([t.bytes_share for t in tenants]),
    }


def checks(tenants: Sequence[Reached]) -> dict[str, float]:
    """The numbers behind the decision: of the tenant that came nearest to its limit."""
    return {
        "flop_bound_share": _most([t.bound_share for t in tenants]),
        "bytes_share": _most([t.bytes_share for t in tenants]),
    }


def _computed(t: Reached) -> str | None:
    if not t.bound_share > (GPU_LIMIT if t.on_gpu else CPU_LIMIT):
        return None
    return f"{_rate(t.least_flop_per_s, 'FLOP/s')}, above the {_rate(t.flop_bound, 'FLOP/s')} {_CAUSE}"


def _moved(t: Reached) -> str | None:
    if not t.bytes_share > GPU_LIMIT:
        return None
    return f"{_rate(t.bytes_per_s, 'byte/s')} from memory, above the {_rate(t.bytes_ceiling, 'byte/s')} {_CAUSE}"


def _unnamed(t: Reached) -> str | None:
    """Only where there is a limit to hold it to: a model whose work is not known may compute in whatever it says."""
    if not t.unnamed or math.isnan(t.least_flop_per_s):
        return None
    names = ", ".join(repr(name[:SHOWN_LENGTH]) for name in t.unnamed[:3])
    return f"operators ran in what bench knows no precision by the name of: {names}"


CHECKS = (_computed, _moved, _unnamed)
_CAUSE = "that this device was measured to reach: not all of the work was done, or not when it was timed"


def _rate(per_s: float, unit: str) -> str:
    for scale, prefix in ((1e12, "T"), (1e9, "G")):
        if per_s >= scale:
            return f"{per_s / scale:.3g} {prefix}{unit}"
    return f"{per_s / 1e6:.3g} M{unit}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _most(values: Sequence[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)
