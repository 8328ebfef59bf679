"""What a user needs: the yaml of `bench recommend --need` (docs/recommend.md)."""

from __future__ import annotations

from collections.abc import Hashable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from bench.errors import ConfigError, InputError
from bench.judge.recommend.service import Service
from bench.judge.recommend.values import GIB, Amount, Number, Word, no_truth
from bench.records import StrictRecord
from bench.stored import content, first_line

Level = Literal["high", "medium", "general"]
Scene = Literal["inference", "multi_tenant", "development", "training", "mixed"]
Objective = Literal["cost", "energy", "throughput", "latency"]
LOWER_IS_BETTER: tuple[Objective, ...] = ("cost", "energy", "latency")
GOALS = (
    "p99_ms", "throughput_per_s", "tenant_throughput_per_s", "devices", "tenants", "quality_loss_below", "isolation",
    "memory_gib", "memory_bytes", "budget",
)  # fmt: skip


class Power(StrictRecord):
    """Of electricity, where it is not in the price per hour. watts: what the device draws under this load, by the
    user's own meter; it is used where the run measured no energy, and every figure from it says so."""

    price_per_kwh: Amount
    watts: Amount | None = None


class Prices(StrictRecord):
    """price_per_hour: of one device, whatever it does. With `power`, both are added."""

    price_per_hour: Amount | None = None
    power: Power | None = None
    currency: Annotated[str, pydantic.Field(max_length=12)] = ""

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> Prices:
        if self.price_per_hour is None and self.power is None:
            raise ValueError("it names no price: say price_per_hour, or power: {price_per_kwh: ...}")
        return self


class Budget(StrictRecord):
    """per_million: for a million inferences. per_month: of all devices that `throughput_per_s` takes (one without)."""

    per_million: Amount | None = None
    per_month: Amount | None = None

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> Budget:
        if self.per_million is None and self.per_month is None:
            raise ValueError("it names no bound: say per_million or per_month")
        return self


class Need(StrictRecord):
    """Every key may be left out, but not all goals.

    workload, scenario: of which measurements; needed where the runs hold several.
    p99_ms: that each tenant's 99th percentile may reach. throughput_per_s: items per second of all tenants on all
        devices together; it decides how many devices are needed. devices: at most so many.
    tenant_throughput_per_s: of each tenant. tenants: at least so many share one device.
    quality_loss_below: a share, 0.01 is one percentage point, against the run's own baseline.
    isolation: the document's three levels (levels.py). memory_gib, memory_bytes: for each tenant, of the device.
    scene: for the rule of thumb. headroom: the share of load and memory that stays free.
    objective: what is best among what satisfies; without it cost, where there are prices, and throughput otherwise.
    """

    workload: Word | None = None
    scenario: Word | None = None
    p99_ms: Amount | None = None
    throughput_per_s: Amount | None = None
    tenant_throughput_per_s: Amount | None = None
    devices: Number | None = None
    tenants: Number | None = None
    quality_loss_below: Annotated[Amount, pydantic.Field(lt=1)] | None = None
    isolation: Level | None = None
    memory_gib: Amount | None = None
    memory_bytes: Number | None = None
    scene: Scene | None = None
    prices: Prices | None = None
    budget: Budget | None = None
    headroom: Annotated[float, pydantic.BeforeValidator(no_truth), pydantic.Field(ge=0, le=0.9)] = 0.2
    objective: Objective | None = None
    deploy: Service | None = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Need:
        if all(getattr(self, goal) is None for goal in GOALS):
            raise ValueError(f"it names no goal: say at least one of {', '.join(GOALS)}")
        if self.memory_gib and self.memory_bytes:
            raise ValueError("memory_gib and memory_bytes say the same: keep one")
        if self.devices and not self.throughput_per_s:
            raise ValueError("devices bounds what throughput_per_s takes: say that, too")
        if self.prices is None and (self.budget or self.objective == "cost"):
            raise ValueError("what it costs needs prices: say prices: {price_per_hour: ...}")
        return self

    @property
    def aim(self) -> Objective:
        return self.objective or ("cost" if self.prices else "throughput")

    @property
    def tenant_memory_bytes(self) -> int | None:
        return self.memory_bytes or (None if self.memory_gib is None else round(self.memory_gib * GIB))

    @property
    def usable(self) -> float:
        """The share of load and of memory that may be used."""
        return 1 - self.headroom

    def told(self) -> dict[str, Any]:
        """What the user said, without what was left out and without what only deploying needs."""
        return self.model_dump(exclude_none=True, exclude_unset=True, exclude={"deploy"})


class _Loader(yaml.SafeLoader):
    """Of a key that is there twice yaml's own takes the last, and nobody knows which was meant."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(problem=f"{key[:60]!r} is there twice")
        return super().construct_mapping(node, deep)


def read_need(path: Path) -> Need:
    """Raises InputError for a file that cannot be read and ConfigError for what cannot be meant, with the key."""
    try:
        found = yaml.load(content(path).decode("utf-8"), _Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(
            f"this need cannot be read: {_reason(error)[:200]}",
            where=str(path),
            hint="write yaml such as `p99_ms: 10`; examples/need.yaml shows every key",
        ) from error
    if not isinstance(found, dict):
        raise InputError("a need is a list of `key: value`", where=str(path), hint="see examples/need.yaml")
    try:
        return Need.model_validate(found)
    except pydantic.ValidationError as error:
        raise _mistake(error, path) from error


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        return error.problem + (f", in line {error.problem_mark.line + 1}" if error.problem_mark else "")
    return first_line(error)


def _mistake(error: pydantic.ValidationError, path: Path) -> ConfigError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    where = f"{path}: {place[:200]}" if place else str(path)
    if first["type"] == "extra_forbidden":
        known = _keys(first["loc"][:-1])
        near = get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return ConfigError(f"{place[:200]} is no key of a need", where=where, hint=hint)
    what = first["msg"].removeprefix("Value error, ")
    if ": say " in what:
        what, _, hint = what.partition(": say ")
        hint = f"say {hint}"
    else:
        what, _, hint = (what, "", "") if place else what.partition(": ")
    return ConfigError(
        f"{place[:200]}: {what}" if place else what,
        where=where,
        hint=hint or "examples/need.yaml shows every key, docs/recommend.md explains them",
    )


def _keys(place: tuple[int | str, ...]) -> list[str]:
    """Those that are known there."""
    inside: dict[str, type[StrictRecord]] = {"prices": Prices, "power": Power, "budget": Budget, "deploy": Service}
    record = inside.get(str(place[-1]), Need) if place else Need
    return list(record.model_fields)
