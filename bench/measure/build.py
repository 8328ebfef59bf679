"""The conductor's way to have something made: by a builder, in a process of its own, once for all who share a cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import clock
from bench.contract import Slot
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


def in_builder(
    do: str, slot: Slot, environment: Mapping[str, str], limit_s: float, who: str, **request: Any
) -> dict[str, Any]:
    """What a builder in `slot` answers. `who`: what users call it. Raises ChildFailed."""
    # A plain process: limits are for tenants, and training needs more than inference.
    link = Link(Processes().start(["bench.measure.builder"], slot, environment), who)
    try:
        link.send(do=do, slot=dataclasses.asdict(slot), **request)
        return await_events([link], "built", clock.now_ns() + int(limit_s * clock.NS_PER_S))[0]
    finally:
        link.end()
