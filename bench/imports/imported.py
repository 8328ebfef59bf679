"""What an importer gives: trials of some cells, as far as the other tool tells of them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench.errors import ConfigError, InputError
from bench.imports.files import shown
from bench.records import Imported, Latency, Plan, Quality, TrialRecord


@dataclass(frozen=True)
class Place:
    """Where and what was measured: what the tool's files tell, and what the user says of the rest. "" and None: not
    told. device_kind: "cpu" or "cuda". partition and tenants that nobody tells are "full" and 1."""

    workload: str = ""
    scenario: str = ""
    partition: str = ""
    optimization: str = ""
    device: str = ""
    device_kind: str = ""
    batch_size: int | None = None
    tenants: int | None = None

    def filled(self, **told: Any) -> Place:
        """What the user said, and for the rest what the file tells: for names, which users may give as they like."""
        empty = {name: value for name, value in told.items() if getattr(self, name) in ("", None)}
        return dataclasses.replace(self, **empty)

    def held_to(self, file: Path, **told: Any) -> Place:
        """The same for facts. Raises InputError where the user says otherwise than the file."""
        for name, value in told.items():
            said = getattr(self, name)
            if value not in ("", None) and said not in ("", None) and said != value:
                raise InputError(
                    f"{name}={said} is said, and the file tells of {shown(value)}",
                    where=str(file),
                    hint=f"leave {name}= out, or name the file that it is true of",
                )
        return self.filled(**told)


@dataclass(frozen=True)
class Measured:
    """One measurement: of one process, or of one repetition that the tool keeps apart. None, () and {}: not told.

    latencies_ms: of every request, in their order; `latency_ms`: where there are only summaries.
    ends_s: when each of these requests ended, on any clock.
    throughput_per_s: items per second. window_s: how long it measured.
    """

    place: Place
    throughput_per_s: float | None
    latencies_ms: Sequence[float] = ()
    ends_s: Sequence[float] = ()
    latency_ms: Latency | None = None
    requests: int | None = None
    window_s: float | None = None
    quality: Quality | None = None
    telemetry: Mapping[str, float] = field(default_factory=dict)
    invalid: str = ""
    """Why the tool itself calls it invalid; "" where it does not."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What else the tool tells, JSON-serialisable: kept, and not judged."""


@dataclass(frozen=True)
class Found:
    """All that some files of one tool tell: measurements in the order in which they were made.

    `imported.missing` names what this tool never tells (blocks, proof, device); that there is no quality, telemetry,
    requests or latency is seen from `measured`, and need not be named."""

    imported: Imported
    measured: Sequence[Measured]
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    """What the tool tells of the machine: becomes run.json's."""
    kept: Mapping[str, bytes] = field(default_factory=dict)
    """SHA-256 of a file -> the file, for tools that a run is to be given back to as it was."""


@dataclass(frozen=True)
class WholeRun:
    """A run as `bench export` wrote it in a tool's form: run.json, the plan, its trials, and trial -> columns of its
    requests, as the store has them."""

    description: Mapping[str, Any]
    plan: Plan
    trials: Sequence[TrialRecord]
    requests: Mapping[str, Mapping[str, Any]]


class Importer(ABC):
    """One tool. Files: `bench/imports/<tool>.py`, named in `bench/imports/tools.py`."""

    tool: ClassVar[str]
    """Its name, as users write it: `trtexec`, `onnxruntime-perf`."""
    reads: ClassVar[str]
    """What it reads, in a line for users: "times.json of --exportTimes"."""
    takes: ClassVar[Mapping[str, str]] = {}
    """Its own options, and what each is, for users; "map." takes every option that begins so. What users choose of
    them is in `self.options`."""

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self.options = dict(options or {})
        for name in self.options:
            if not any(name == known or (known.endswith(".") and name.startswith(known)) for known in self.takes):
                known = ", ".join([*(field.name for field in dataclasses.fields(Place)), *self.takes])
                raise ConfigError(
                    f"an import from {self.tool} has no option {name}", where=f"{name}=", hint=f"it has: {known}"
                )

    @abstractmethod
    def read(self, files: Sequence[Path], said: Place) -> Found | WholeRun:
        """Read the files of one call. `said` is what the user says: it fills what the files do not tell (`filled`),
        and an InputError is raised where both tell, and differ (`held_to`).

        Files are a stranger's: InputError (what, where: the file, hint: how the tool writes it) for one that is
        truncated, of another tool, or holds numbers that cannot be. Never a pickle, never code. `files.py` reads
        them."""
