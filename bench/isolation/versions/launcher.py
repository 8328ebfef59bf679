"""Starts tenants that run a version."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contract import Launcher, Process, Slot
from bench.isolation.process import start_process
from bench.isolation.versions.arrived import Expected


def unmoved(path: str) -> str:
    return path


@dataclass(frozen=True)
class VersionLauncher(Launcher):
    """Plain processes. `told` is the version by value; `first` are folders that come before everything on the import
    path; `moved` gives for a folder of the import path the one that stands for it there, "" for none."""

    expected: Expected
    told: Mapping[str, Any]
    python: str = sys.executable
    first: tuple[str, ...] = ()
    moved: Callable[[str], str] = field(default=unmoved)
    memory_limit_bytes: int | None = None

    @property
    def version(self) -> Mapping[str, Any]:
        return self.told

    def confinement(self, slot: Slot) -> dict[str, Any]:
        return {
            "cpus": list(slot.cpus), "memory_limit_bytes": self.memory_limit_bytes, "version": dict(self.told),
        }  # fmt: skip

    def start(
        self, arguments: Sequence[str], slot: Slot, environment: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Process:
        path = [self.moved(part) for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
        path = list(dict.fromkeys([*self.first, *filter(None, path)]))
        changed = {**environment, "PYTHONPATH": os.pathsep.join(path), **self.expected.environment()}
        return start_process(self.python, arguments, slot, changed, self.memory_limit_bytes)
