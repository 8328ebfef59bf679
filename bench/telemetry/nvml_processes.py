"""Who computes on the GPU beside the tenants.

NVML tells process ids as it counts, which is not always as this process counts: in a container they may be the host's,
or left out. So a list that names at least one tenant is taken at its word: whoever in it is neither a tenant nor a
descendant of one is foreign. (In a container the driver may leave out processes of other containers: then 0 only means
that none is seen.) In a list without any tenant the ids are somebody else's, and only what cannot be a tenant's by its
place counts: more processes in a GPU instance than it has tenants, or any where there is none. If that makes 0,
nothing is known and nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench.contract import BOARD, Reading, Watched
from bench.devices.gpu_words import NO_INSTANCE, PROCESS_LISTS
from bench.telemetry.nvml_calls import Calls

PLAIN, MPS = PROCESS_LISTS["compute"], PROCESS_LISTS["mps"]
MPS_SERVER = "nvidia-cuda-mps"
"""What the kernel keeps (15 characters) of nvidia-cuda-mps-server, which holds a context for its clients."""


class Process(NamedTuple):
    """A process with a compute context. `memory_bytes`: None where it is not told."""

    pid: int
    gpu_instance: int | None
    memory_bytes: int | None


class Census:
    """`slices`: MIG devices by GPU instance, which may be asked where the whole GPU may not."""

    def __init__(self, calls: Calls, board: Any, slices: Mapping[int, Any], tenants: Mapping[str, Watched]) -> None:
        self._calls = calls
        self._board = board
        self._slices = slices
        self._tenants = {tenant.pid: subject for subject, tenant in tenants.items()}
        self._places = Counter(tenant.gpu_instance for tenant in tenants.values())
        self._owners: dict[int, str | None] = {}

    def read(self) -> Iterator[Reading]:
        plain = self._listed(PLAIN)
        if plain is None:
            return
        found, here = plain, self._any_tenant(plain)
        if not here:  # clients of MPS are in a list of their own, their server in the other
            clients = self._listed(MPS) or []
            here = self._any_tenant(clients)
            found = [*(one for one in plain if not _is_mps_server(one.pid)), *clients] if here else clients or plain
        yield BOARD, "processes", len(found)
        if here:
            yield BOARD, "foreign_processes", sum(self._owner(one.pid) is None for one in found)
            yield from self._memory(found)
        elif beyond := (Counter(one.gpu_instance for one in found) - self._places).total():
            yield BOARD, "foreign_processes", beyond

    def _listed(self, call: str) -> list[Process] | None:
        """None where nobody may know. An empty list of the whole GPU may be for want of privileges."""
        whole = self._calls.ask(call, self._board)
        if whole or not self._slices:
            return None if whole is None else [_process(one, one.gpuInstanceId) for one in whole]
        each = {number: self._calls.ask(call, handle) for number, handle in self._slices.items()}
        if whole is None and all(told is None for told in each.values()):
            return None
        return [_process(one, number) for number, told in each.items() for one in told or ()]

    def _any_tenant(self, found: list[Process]) -> bool:
        return any(self._owner(one.pid) for one in found)

    def _owner(self, pid: int) -> str | None:
        """The tenant whose process it is; None: nobody's."""
        if pid not in self._owners:
            self._owners[pid] = self._tenants.get(pid) or self._descends_from(pid)
        return self._owners[pid]

    def _descends_from(self, pid: int) -> str | None:
        try:
            ancestors = psutil.Process(pid).parents()
        except psutil.Error:  # not one of this machine, or not any more
            return None
        return next((self._tenants[one.pid] for one in ancestors if one.pid in self._tenants), None)

    def _memory(self, found: list[Process]) -> Iterator[Reading]:
        used: Counter[str] = Counter()
        for one in found:
            if (subject := self._owner(one.pid)) and one.memory_bytes is not None:
                used[subject] += one.memory_bytes
        for subject, memory_bytes in used.items():
            yield subject, "gpu_memory_used_bytes", memory_bytes


def _process(told: Any, gpu_instance: int) -> Process:
    return Process(told.pid, None if gpu_instance == NO_INSTANCE else gpu_instance, told.usedGpuMemory)


def _is_mps_server(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith(MPS_SERVER)
    except OSError:
        return False
