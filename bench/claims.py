"""A published claim: what it says, where it stands, and what decides it. Configs: `configs/claims/`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import pydantic

from bench.errors import ConfigError
from bench.records import StrictRecord

Ratio = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
MarginShare = Annotated[float, pydantic.Field(gt=0, lt=1)]


Metric = Literal["throughput", "p99", "start_up"]


class Source(StrictRecord):
    """Where the claim is made, and its own words."""

    document: str
    section: str = ""
    words: str = ""


class Settled(StrictRecord):
    """A claim that a specification decides: nothing is left to measure."""

    verdict: Literal["confirmed", "refuted"]
    reason: str
    source: str


class Claim(StrictRecord):
    """What is claimed, as a ratio of speeds: treatment over baseline.

    reading: `range` from `low` to `high`; `at_least` `low`; `up_to` `high`, and no slower than the baseline;
        `qualitative`: no figure is claimed, so nothing can be computed; `decided_by` says what would decide it.
    metric: `throughput` (items per second of all tenants together), `p99` (latency of each, so its inverse is
        compared), or `start_up` (until the first answer); several: each has verdicts of its own. `other` is not
        measured: such claims are shown as not testable, with what is missing.
    beside: neighbours that it speaks of, as patterns: what is compared is how much of its speed alone a tenant keeps
        beside them.
    quality_loss_below: greatest loss of quality, as a share (0.01: one percentage point of accuracy); None: no bound.
    divisions: those that it speaks of, as patterns; none: all.
    contrast: whether `baseline` and `treatments` name optimizations, partitions or isolations; the other two are the
        same for both. `treatments` may hold patterns: `int8_*`.
    hardware: what the claim speaks of. Evidence from other hardware is shown beside it and never counted for it.
    needs: what a test of it would need that is not at hand everywhere, in words.
    """

    title: str
    source: Source
    reading: Literal["range", "at_least", "up_to", "qualitative"]
    low: Ratio | None = None
    high: Ratio | None = None
    metric: Metric | Literal["other"] | tuple[Metric, ...] = "throughput"
    beside: tuple[str, ...] = ()
    divisions: tuple[str, ...] = ()
    quality_loss_below: MarginShare | None = None
    contrast: Literal["optimization", "partition", "isolation"] = "optimization"
    baseline: str = "fp32"
    treatments: tuple[str, ...] = ()
    hardware: Literal["gpu", "any"] = "gpu"
    devices: tuple[str, ...] = ()
    """Patterns of device names that it speaks of, e.g. `*A30*`; empty: all of its kind."""
    needs: str = ""
    decided_by: str = ""
    settled: Settled | None = None

    @pydantic.model_validator(mode="after")
    def _bounds_fit_the_reading(self) -> Claim:
        wanted = {"range": (True, True), "at_least": (True, False), "up_to": (False, True)}
        given = (self.low is not None, self.high is not None)
        if given != wanted.get(self.reading, (False, False)):
            words = {"range": "low and high", "at_least": "low and no high", "up_to": "high and no low"}
            raise ValueError(f"a reading of {self.reading!r} has {words.get(self.reading, 'neither low nor high')}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low ({self.low}) is not below high ({self.high})")
        if self.reading == "up_to" and self.high is not None and self.high <= 1:
            raise ValueError(f"up to {self.high} is no gain")
        if self.reading != "qualitative" and self.metrics and not self.treatments and not self.needs:
            raise ValueError("it names neither treatments nor what it needs")
        return self

    @property
    def band(self) -> tuple[float, float]:
        """The claimed ratios as an interval; `up_to` begins at 1: no slower than the baseline."""
        if self.reading == "up_to":
            return 1.0, self.high or math.inf
        return self.low or 0.0, self.high or math.inf

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that are measured; () where none is."""
        if self.metric == "other":
            return ()
        return self.metric if isinstance(self.metric, tuple) else (self.metric,)

    @property
    def measurable(self) -> bool:
        """Whether trials as they are measured today can decide it."""
        return self.reading != "qualitative" and bool(self.metrics and self.treatments) and self.settled is None

    def treats(self, name: str) -> bool:
        """Whether an optimization (or partition) is one of the treatments."""
        return any(fnmatchcase(name, pattern) for pattern in self.treatments)

    def counts(self, device_kind: str, device: str) -> bool:
        """Whether evidence from such a device counts for the claim, or only stands beside it."""
        if self.hardware == "gpu" and device_kind != "cuda":
            return False
        return not self.devices or any(fnmatchcase(device, pattern) for pattern in self.devices)


def read_claims(node: Any) -> dict[str, Claim]:
    """The claims of a composed configuration. Raises ConfigError naming the claim and the key that is wrong."""
    if not isinstance(node or {}, Mapping):
        raise ConfigError("claims is not a mapping", where="claims", hint="choose claims by 'claims=[name,name]'")
    return {str(name): _read(str(name), content) for name, content in (node or {}).items()}


def _read(name: str, content: Any) -> Claim:
    try:
        return Claim.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("claims", name, *(str(part) for part in first["loc"])))
        what = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"the claim {name} cannot be read: {what[:1].lower()}{what[1:]}",
            where=where,
            hint=f"a claim has: {', '.join(Claim.model_fields)}; see configs/claims/",
        ) from error
