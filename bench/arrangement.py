"""Arrangements: how a device is divided, what its tenants run in, and who they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract import Device, Isolation, Neighbours, Optimization, Partition, Workload
from bench.errors import ConfigError
from bench.instantiate import instantiate
from bench.records import ALONE, LISTED, PROCESS, SAME


@dataclass(frozen=True)
class Occupant:
    """A tenant that runs something else than the measured workload. The nodes are the configuration of both."""

    name: str
    workload: Workload
    workload_node: Mapping[str, Any]
    optimization: Optimization
    optimization_node: Mapping[str, Any]
    batch_size: int
    greedy: bool = False

    def infeasible(self, device: Device) -> str | None:
        reason = self.workload.infeasible(device) or self.optimization.infeasible(self.workload, device)
        return f"its neighbour {self.name}: {reason}" if reason else None


@dataclass(frozen=True)
class Arrangement:
    """One side of a cell; `division` is the option of `partitions`, `neighbours` that of `neighbours`, or what it means
    (`records.ALONE`, `LISTED`).

    listed: who has each slot, where the partition names its tenants one by one; None stands for the workload itself.
    occupant: who has all slots but the first, where `neighbours` names that.
    """

    division: str
    partition: Partition
    isolation_name: str
    isolation: Isolation
    neighbours: str
    occupant: Occupant | None = None
    listed: tuple[Occupant | None, ...] = ()

    def tenants(self, slots: int) -> tuple[Occupant | None, ...]:
        """Who has the first, the second ... of so many slots; fewer than there are slots where some stay empty. None
        stands for the workload itself, which always has at least one."""
        if self.listed:
            return self.listed
        if self.neighbours == ALONE:
            return (None,)
        return (None, *([self.occupant] * (slots - 1)))

    def infeasible(self, device: Device) -> str | None:
        """Why it cannot be; None if it can. Asked where the division itself is feasible."""
        if reason := self.isolation.infeasible(device) or self.isolation.infeasible_in(self.partition):
            return f"{self.isolation_name}: {reason}"
        if self.neighbours not in (SAME, LISTED) and self.partition.count(device) == 1:
            return "one tenant has it to itself, so there is nobody beside it"
        reasons = (occupant.infeasible(device) for occupant in self.tenants(self.partition.count(device)) if occupant)
        return next(filter(None, reasons), None)


def arrangements(
    config: Mapping[str, Any],
    partitions: Mapping[str, Partition],
    isolations: Mapping[str, Isolation],
    neighbours: Mapping[str, Neighbours],
) -> dict[str, Arrangement]:
    """Every division in every isolation beside all neighbours, by name; `config` is what they are made of. What is
    ordinary (processes, all tenants alike) does not show in a name, nor does an isolation that all have.
    """
    _check_versions(isolations)
    found: dict[str, Arrangement] = {}
    for division, partition in partitions.items():
        listed = tuple(_listed(config["partitions"][division].get("tenants"), f"partitions.{division}.tenants"))
        for isolation_name, isolation in isolations.items():
            for beside, plugin in neighbours.items():
                _check_listed(division, listed, beside)
                parts = [division]
                if len(isolations) > 1 and isolation_name != PROCESS:
                    parts.append(isolation_name)
                if beside != SAME:
                    parts.append(beside)
                found[".".join(parts)] = Arrangement(
                    division,
                    partition,
                    isolation_name,
                    isolation,
                    LISTED if listed else ALONE if plugin.empty else beside,
                    occupant=_occupant(beside, plugin, config["neighbours"][beside]),
                    listed=listed,
                )
    return found


def _check_versions(isolations: Mapping[str, Isolation]) -> None:
    for name, isolation in isolations.items():
        compared = isolation.base_of
        if compared is not None and (compared not in isolations or isolations[compared].base_of is not None):
            raise ConfigError(
                f"{name} runs what {compared} is compared with, and that is not measured beside it",
                where=f"isolation.{name}.base_of",
                hint=f"say 'isolation=[{compared},{name}]', or let --against say it",
            )


def partition_node(node: Any) -> Any:
    """What the partition itself is made of: it is told how many tenants it has, not who they are."""
    tenants = node.get("tenants") if isinstance(node, Mapping) else None
    return {**node, "tenants": len(tenants)} if isinstance(tenants, list) else node


def _occupant(name: str, plugin: Neighbours, node: Mapping[str, Any]) -> Occupant | None:
    if plugin.workload is None or plugin.optimization is None:
        return None
    return Occupant(
        name,
        plugin.workload,
        node["workload"],
        plugin.optimization,
        node["optimization"],
        plugin.batch_size,
        plugin.greedy,
    )


def _listed(tenants: Any, key: str) -> Iterator[Occupant | None]:
    """Tenants by name, as `composition.name_tenants` has completed them."""
    if not isinstance(tenants, list):
        return
    for index, entry in enumerate(tenants):
        where = f"{key}[{index}]"
        if entry["optimization"] is None:
            yield None
            continue
        workload = instantiate(entry["workload"], Workload, where)
        optimization = instantiate(entry["optimization"], Optimization, where)
        yield Occupant(entry["name"], workload, entry["workload"], optimization, entry["optimization"], 1)


def _check_listed(division: str, listed: Sequence[Occupant | None], beside: str) -> None:
    where = f"partitions.{division}.tenants"
    if listed and beside != SAME:
        raise ConfigError(
            f"{division} names its tenants one by one, and {beside} says who they are as well",
            where=where,
            hint="say 'neighbours=[same]', or give the number of tenants",
        )
    if listed and None not in listed:
        raise ConfigError(
            "none of its tenants runs the workload that is measured",
            where=where,
            hint="name the workload of this experiment among them, without options of its own",
        )
