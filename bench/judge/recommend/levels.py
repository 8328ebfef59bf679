"""How well a way of sharing separates tenants: the document's three levels (section 2.1.1), for what bench measures.

The document ranks MIG high, vGPU medium, and the container toolkit, with which containers share a GPU, general. bench
measures no vGPU. The rest stands where what separates it puts it; `why` says what that is. What a neighbour really
costs is measured (`neighbours=[alone,...]`), and no level.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.judge.recommend.deployment import Division
from bench.judge.recommend.need import Level
from bench.records import PROCESS

ORDER: tuple[Level, ...] = ("general", "medium", "high")


@dataclass(frozen=True)
class Separation:
    """The level, and why it is that."""

    level: Level
    why: str

    def reaches(self, wanted: Level) -> bool:
        return ORDER.index(self.level) >= ORDER.index(wanted)


def separation(division: Division | None, isolation: str) -> Separation:
    """Of tenants on such a division in such an isolation. A division of somebody's own (None) promises nothing."""
    if division == "full":
        return Separation("high", "one tenant has the device to itself")
    if division == "mig":
        return Separation("high", "each tenant has multiprocessors, cache and memory of its own, in hardware")
    if division == "cpuset":
        if isolation != PROCESS:
            return Separation(
                "medium", "the kernel holds each tenant to cores of its own; caches and memory are shared"
            )
        return Separation("general", "each tenant pins itself to its cores, and could undo that; use a container")
    if division == "green_context":
        return Separation("general", "it divides multiprocessors within one process; memory and cache are shared")
    if division == "mps":
        return Separation("general", "tenants compute at once through one server, and a fault of one can end all")
    if division == "time_shared":
        return Separation("general", "tenants take turns, and share memory and cache")
    return Separation("general", "nothing is known of what separates its tenants")
