"""What an importer gives: trials of some cells, as far as the other tool tells of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.records import Imported, Latency, Quality


@dataclass(frozen=True)
class Place:
    """Where and what was measured: what the tool's files tell, and what the user says of the rest. "" and None: not
    told. device_kind: "cpu" or "cuda"."""

    workload: str = ""
    scenario: str = ""
    partition: str = "full"
    optimization: str = ""
    device: str = ""
    device_kind: str = ""
    batch_size: int | None = None
    tenants: int = 1


@dataclass(frozen=True)
class Measured:
    """One measurement: of one process, or of one repetition that the tool keeps apart. None, () and {}: not told.

    latencies_ms: of every request, in their order; `latency_ms`: where there are only summaries.
    throughput_per_s: items per second. window_s: how long it measured.
    """

    place: Place
    throughput_per_s: float | None
    latencies_ms: Sequence[float] = ()
    latency_ms: Latency | None = None
    requests: int | None = None
    window_s: float | None = None
    quality: Quality | None = None
    telemetry: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What else the tool tells, JSON-serialisable: kept, and not judged."""


@dataclass(frozen=True)
class Found:
    """All that some files of one tool tell: measurements in the order in which they were made."""

    imported: Imported
    measured: Sequence[Measured]
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    """What the tool tells of the machine: becomes run.json's."""


class Importer(ABC):
    """One tool. Files: `bench/imports/<tool>.py`, named in `bench/imports/tools.py`."""

    tool: str
    """Its name, as users write it: `trtexec`, `onnxruntime-perf`."""
    reads: str
    """What it reads, in a line for users: "times.json of --exportTimes"."""

    @abstractmethod
    def read(self, files: Sequence[Path], said: Place) -> Found:
        """Read the files of one call. `said` is what the user says: it fills what the files do not tell, and an
        InputError is raised where both tell, and differ.

        Files are a stranger's: InputError (what, where: the file, hint: how the tool writes it) for one that is
        truncated, of another tool, or holds numbers that cannot be. Never a pickle, never code."""
