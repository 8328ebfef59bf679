"""Frozen records: what a plan, a trial and a run are once they are written down."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

ALL = "*"

Status = Literal["ok", "invalid", "failed"]
"""ok: valid. invalid: measured, but a gate found a cause that spoils it. failed: there is no measurement."""


class Record(pydantic.BaseModel):
    """Frozen; unknown keys are kept out of sight but do not break reading newer files."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")


class PlannedTrial(Record):
    id: str
    block: int
    position: int
    workload: str
    scenario: str
    partition: str
    optimization: str
    tenants: int


class Infeasible(Record):
    """What was asked for and cannot run here. `partition` or `optimization` "*" stands for all of them; `telemetry`
    names a source that has nothing to read here, which keeps no trial from running."""

    partition: str
    optimization: str
    reason: str
    telemetry: str | None = None

    def __str__(self) -> str:
        if self.telemetry:
            return f"telemetry {self.telemetry}: {self.reason}"
        names = " ".join(name for name in (self.partition, self.optimization) if name != ALL)
        return f"{names or 'everything'}: {self.reason}"


class Estimate(Record):
    """Seconds, from the protocol and typical start-up times; building artifacts for the first time comes on top."""

    trials_s: float
    builds: int


class Plan(Record):
    workload: str
    scenario: str
    device: str
    device_kind: str
    rehearsal: bool
    protocol: str
    baseline: str
    seed: int
    blocks: int
    trials: tuple[PlannedTrial, ...]
    infeasible: tuple[Infeasible, ...]
    estimate: Estimate


class Latency(Record):
    """Milliseconds per request, over all tenants' requests in the common window."""

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float


class Quality(Record):
    """Quality of an optimised model on the workload's evaluation items.

    accuracy: share of items classified correctly (only where there are labels); `gained` and `lost` count the items
    that the baseline got wrong and right and this model the other way round. agreement, with or without labels: of
    this model's outputs with the baseline's: top-1 agreement and mean Kullback-Leibler divergence in nats (None where
    there is only one column, so nothing to choose), mean cosine, and the norm of the difference over that of the
    baseline.
    """

    metric: Literal["accuracy", "agreement"]
    baseline: str
    items: int
    accuracy: float | None = None
    baseline_accuracy: float | None = None
    gained: int | None = None
    lost: int | None = None
    top1_agreement: float | None
    mean_kl_nats: float | None
    cosine: float
    relative_error: float


class Gate(Record):
    """`reasons` is empty when the trial is valid; `checks` are the numbers that were looked at."""

    valid: bool
    reasons: tuple[str, ...] = ()
    checks: dict[str, Any] = {}


class TrialRecord(PlannedTrial):
    """One line of trials.jsonl: a planned trial and what became of it."""

    device: str
    device_kind: str
    batch_size: int
    status: Status
    reason: str | None = None
    throughput_per_s: float | None = None
    tenant_throughput_per_s: tuple[float, ...] = ()
    requests: int = 0
    window_s: float | None = None
    latency_ms: Latency | None = None
    quality: Quality | None = None
    artifact: dict[str, Any] = {}
    proof: dict[str, Any] = {}
    timing_s: dict[str, float] = {}
    telemetry: dict[str, float] = {}
    gate: Gate | None = None
    rehearsal: bool = False
    started_at: str = ""
