"""Frozen records: what a plan, a trial and a run are once they are written down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import pydantic

ALL = "*"
PROCESS, SAME, ALONE, LISTED = "process", "same", "alone", "listed"
"""Isolation and neighbours that mean something to those who judge: plain processes; all tenants run the workload; the
other slots stay empty; the partition says who has each slot."""

Status = Literal["ok", "invalid", "failed"]
"""ok: valid. invalid: measured, but a gate found a cause that spoils it. failed: there is no measurement."""


# Results are read back from files that anybody may have written: what cannot be is refused by the types.
Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$", max_length=200)]
"""Of a trial or a cell: becomes part of file names, so no separators."""
Count = Annotated[int, pydantic.Field(ge=0)]
Positive = Annotated[int, pydantic.Field(ge=1)]
Measure = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Threshold = Annotated[float, pydantic.Field(gt=0, lt=1)]


class Record(pydantic.BaseModel):
    """Frozen; unknown keys are kept out of sight but do not break reading newer files."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")


class StrictRecord(Record):
    """What users write by hand: an unknown key is a slip of the pen."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


def strictest_level(looks: Sequence[int]) -> float:
    """The most that each look may err (two-sided), so that all of them together err in at most 5 %. Looks whose totals
    at most double share most of their data: 0.06 / looks, simulated for three (docs/method.md). Others: Bonferroni."""
    near = all(later <= 2 * earlier for earlier, later in pairwise(looks))
    return min(0.05, (0.06 if near else 0.05) / max(1, len(looks)))


class Thresholds(StrictRecord):
    """The least slow-down that matters, when a version is compared with another: 0.01 is an item, a p99 or a start-up
    that takes 1 % longer, or 1 % more energy for each item. quality: points of accuracy, as a share. None: not judged.
    """

    throughput: Threshold | None = 0.01
    p99: Threshold | None = 0.05
    start_up: Threshold | None = 0.05
    energy: Threshold | None = 0.05
    quality: Threshold | None = 0.005


class SourceFile(Record):
    """A file that was imported, and what it was."""

    name: str
    sha256: Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]


Missing = Literal["blocks", "quality", "telemetry", "proof", "requests", "latency", "device"]
"""What a tool may leave untold. blocks: its measurements were not interleaved, or are a single one. requests: there are
only summaries of them. proof: nobody knows which precision ran."""


class Imported(Record):
    """That a run was measured by another tool, and what that does not tell. `when`: as the tool wrote it, or "" """

    tool: str
    version: str = ""
    when: str = ""
    files: tuple[SourceFile, ...] = ()
    missing: tuple[Missing, ...] = ()


class PlannedTrial(Record):
    """`partition` names the arrangement: how the device is divided, what tenants run in, and who they are. Its parts
    are `division` (the option of `partitions`), `isolation` and `neighbours`. `tenants` are all that run at once.
    """

    id: Name
    block: Count
    position: Count
    workload: str
    scenario: str
    partition: Name
    optimization: Name
    tenants: Positive
    division: Name
    isolation: Name = "process"
    neighbours: Name = "same"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _older_records(cls, content: Any) -> Any:
        """Before arrangements had parts, a partition was a division."""
        if isinstance(content, dict) and "division" not in content and "partition" in content:
            return {**content, "division": content["partition"]}
        return content


class Infeasible(Record):
    """What was asked for and cannot run here. `partition` or `optimization` "*" stands for all of them; `telemetry`
    names a source that has nothing to read here, which keeps no trial from running. `division` and `isolation` are
    parts of the partition."""

    partition: str
    optimization: str
    reason: str
    telemetry: str | None = None
    division: str = ""
    isolation: str = ""

    def __str__(self) -> str:
        if self.telemetry:
            return f"telemetry {self.telemetry}: {self.reason}"
        names = " ".join(name for name in (self.partition, self.optimization) if name != ALL)
        return f"{names or 'everything'}: {self.reason}"


class PlannedInstance(Record):
    """A MIG GPU instance: its profile's label, and where it stands on the memory slices. None: not known yet."""

    profile: str
    start: Count
    size: Positive
    sm_count: Positive | None = None
    memory_bytes: Positive | None = None


class Layout(Record):
    """How a partition divides a GPU: `words` for people, `commands` that a person would type for the same."""

    words: str
    mig: bool | None = None
    instances: tuple[PlannedInstance, ...] = ()
    commands: tuple[str, ...] = ()


class Estimate(Record):
    """Seconds, from the protocol and typical start-up times; building artifacts for the first time comes on top."""

    trials_s: float
    builds: int


class Plan(Record):
    """`blocks` grows when a look leaves verdicts open (`looks`: the totals at which they are taken, `look_level`: the
    two-sided level of each, None where the protocol draws no verdicts). `again` names the cell that measures the
    baseline a second time, for the noise floor. `same_runtime` gives for an optimization the one that runs the
    unchanged fp32 model in the same runtime, where that is measured too. `layouts`: division -> how it divides the
    device, where it does. `measures`: what the scenario does. `min_requests`: that
    each process is to answer, by the protocol. `against`: isolation in which a base version was measured -> that of
    the version which is compared with it by `thresholds`. `imported`: by which tool it was measured; None: by bench.
    """

    workload: str
    scenario: str
    device: str
    device_kind: str
    rehearsal: bool
    protocol: str
    baseline: Name
    seed: int
    blocks: Positive
    looks: tuple[Positive, ...] = ()
    look_level: Annotated[float, pydantic.Field(gt=0, le=0.05)] | None = None
    again: Name | None = None
    same_runtime: dict[Name, Name] = {}
    layouts: dict[Name, Layout] = {}
    measures: Literal["throughput", "start_up"] = "throughput"
    min_requests: Count = 0
    against: dict[Name, Name] = {}
    thresholds: Thresholds = Thresholds()
    imported: Imported | None = None
    trials: tuple[PlannedTrial, ...]
    infeasible: tuple[Infeasible, ...]
    estimate: Estimate

    @pydantic.model_validator(mode="after")
    def _looks_keep_their_level(self) -> Plan:
        if any(later <= earlier for earlier, later in pairwise(self.looks)):
            raise ValueError("its looks do not rise")
        if self.look_level is not None and self.look_level > strictest_level(self.looks):
            raise ValueError(f"{len(self.looks)} looks at a level of {self.look_level} err too often")
        return self


class Latency(Record):
    """Milliseconds per request, over all tenants' requests in the common window."""

    p50: Measure
    p90: Measure
    p95: Measure
    p99: Measure
    mean: Measure


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
    items: Positive
    accuracy: Share | None = None
    baseline_accuracy: Share | None = None
    gained: Count | None = None
    lost: Count | None = None
    top1_agreement: Share | None
    mean_kl_nats: Measure | None
    cosine: Finite
    relative_error: Measure


class Gate(Record):
    """`reasons` is empty when the trial is valid; `checks` are the numbers that were looked at."""

    valid: bool
    reasons: tuple[str, ...] = ()
    checks: dict[str, Any] = {}


class TrialRecord(PlannedTrial):
    """One line of trials.jsonl: a planned trial and what became of it.

    Throughput, latency and start-up are of the tenants that run the workload; of neighbours that run something else
    there is `neighbour_throughput_per_s`. start_up_s: from starting the first tenant until the last has answered once,
    for scenarios that measure that instead of throughput. `tenant_wall_p99_ms`: on a GPU p99 by the host's clock,
    which counts the wait for a turn, too; () on a CPU. `tenant_gpus`: UUIDs of the GPU or MIG devices that the tenants
    had, () on a CPU. `confinement`: what the first tenant was held to, and by what.
    """

    device: str
    device_kind: str
    batch_size: Positive
    status: Status
    reason: str | None = None
    throughput_per_s: Measure | None = None
    tenant_throughput_per_s: tuple[Measure, ...] = ()
    requests: Count = 0
    window_s: Measure | None = None
    latency_ms: Latency | None = None
    tenant_latency_ms: tuple[Latency, ...] = ()
    tenant_requests: tuple[Count, ...] = ()
    tenant_gpus: tuple[str, ...] = ()
    tenant_wall_p99_ms: tuple[Measure, ...] = ()
    neighbour_throughput_per_s: tuple[Measure, ...] = ()
    start_up_s: Measure | None = None
    tenant_start_up_s: tuple[Measure, ...] = ()
    confinement: dict[str, Any] = {}
    quality: Quality | None = None
    artifact: dict[str, Any] = {}
    proof: dict[str, Any] = {}
    timing_s: dict[str, Finite] = {}
    telemetry: dict[str, Finite] = {}
    gate: Gate | None = None
    rehearsal: bool = False
    started_at: str = ""
