"""The conductor's way to have something made: by a builder, in a process of its own, once for all who share a cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import clock
from bench.contract import Launcher, Slot
from bench.isolation.process import Processes
from bench.measure import artifacts
from bench.measure.artifacts import Artifact
from bench.measure.link import Link, await_events


def find_or_make(cache: Path, name: str, make: Callable[[Path], Mapping[str, float]]) -> Artifact:
    """The artifact of that name. `make` fills an empty folder, and tells how long the parts of that took."""
    if found := artifacts.find(cache, name):
        return found
    with artifacts.locked(cache, name):
        if found := artifacts.find(cache, name):
            return found
        return artifacts.finish(cache, name, make(artifacts.fresh_folder(cache, name)))


@dataclass(frozen=True)
class Builders:
    """How builders are started: as plain processes, since limits are for tenants, and training needs more than
    inference; or, where tenants run another version, by what starts those."""

    environment: Mapping[str, str]
    launcher: Launcher = field(default_factory=Processes)

    @property
    def version(self) -> Mapping[str, Any]:
        """As `Launcher.version`."""
        return self.launcher.version


def in_builder(builders: Builders, do: str, slot: Slot, limit_s: float, who: str, **request: Any) -> dict[str, Any]:
    """What a builder in `slot` answers. `who`: what users call it. Raises ChildFailed."""
    link = Link(builders.launcher.start(["bench.measure.builder"], slot, builders.environment), who)
    try:
        link.send(do=do, slot=dataclasses.asdict(slot), **request)
        return await_events([link], "built", clock.now_ns() + int(limit_s * clock.NS_PER_S))[0]
    finally:
        link.end()
