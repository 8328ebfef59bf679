"""How often the kernel has killed in a cgroup for want of memory. To be asked as soon as a process is gone: its cgroup
follows within a tenth of a second, and takes the number with it.

podman 4 on cgroup v1 does not tell (State.OOMKilled stays false); the kernel always does.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


class OutOfMemory:
    """Of one process's cgroup, looked up while the process lives."""

    def __init__(self, pid: int) -> None:
        self._fd: int | None = None
        if path := events_file(Path(f"/proc/{pid}/cgroup").read_text()):
            try:
                self._fd = os.open(path, os.O_RDONLY)
            except OSError:
                return  # a hierarchy that is mounted elsewhere, or not for us

    def kills(self) -> int:
        """0 also where that cannot be known any more."""
        if self._fd is None:
            return 0
        try:
            text = os.pread(self._fd, 4096, 0).decode()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def events_file(cgroups: str) -> Path | None:
    """Where the kernel counts, from a process's /proc/<pid>/cgroup: cgroup v1 where it has the memory controller, else
    v2."""
    unified = None
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return CGROUPS / "memory" / path.lstrip("/") / "memory.oom_control"
        if not controllers:
            unified = CGROUPS / path.lstrip("/") / "memory.events"
    return unified
