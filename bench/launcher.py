"""What an isolation gives: a way to start tenants, and running ones. Part of the contract (bench/contract.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.device import Slot


class Process(ABC):
    """(conductor) A running tenant: its streams carry the protocol (stdin, stdout) and its log (stderr)."""

    pid: int
    """Of the tenant itself, as this machine counts: telemetry attributes CPU time by it."""

    @abstractmethod
    def fileno(self) -> tuple[int, int, int]:
        """File descriptors of the tenant's stdin, stdout and stderr."""

    @abstractmethod
    def wait(self, timeout_s: float) -> int | None:
        """Exit status (negative: the signal that ended it), or None if it still runs after `timeout_s`."""

    def cause(self) -> str | None:
        """Why it ended, where that is known and its exit status does not tell: out of memory, say. Asked once it is
        gone."""
        return None

    @abstractmethod
    def end(self) -> None:
        """Make sure it is gone, with whatever it started."""


class Launcher(ABC):
    """(conductor) Starts tenants in what an isolation has made ready."""

    @abstractmethod
    def start(
        self, arguments: Sequence[str], slot: Slot, environment: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Process:
        """Start `python -m <arguments>` inside the slot, with `environment` added to its own.

        `folders` are those that it must be able to read, under the same names (artifacts, users' plug-ins). Raises
        `StartFailed` when it cannot be started: the trial is lost then, and the run goes on."""

    @property
    def version(self) -> Mapping[str, Any]:
        """What its tenants run that is not what the conductor runs, by value (a commit, versions of libraries): what
        they load is built there too, and kept apart by this. {}: they run what the conductor runs."""
        return {}

    def confinement(self, slot: Slot) -> Mapping[str, Any]:
        """What a tenant in that slot is held to, and by what: JSON-serialisable, small, stored with each trial."""
        return {}


class StartFailed(Exception):
    """A tenant could not be started; the message says why, in words for the user."""
