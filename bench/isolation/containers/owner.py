"""Who started a container: a process by its boot, its pid namespace, its pid and its start, so that nobody takes a
later process with the same number for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Owner:
    boot: str
    namespace: str
    pid: int
    start_ticks: int

    @staticmethod
    def this() -> Owner:
        pid = os.getpid()
        start = start_ticks(pid)
        assert start is not None
        return Owner(boot_id(), _pid_namespace(), pid, start)

    @staticmethod
    def parse(text: str) -> Owner | None:
        """None: not written by bench."""
        try:
            boot, namespace, pid, ticks = text.split(".")
            return Owner(boot, namespace, int(pid), int(ticks))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.boot}.{self.namespace}.{self.pid}.{self.start_ticks}"

    @property
    def on_this_boot(self) -> bool:
        return self.boot == boot_id()

    @property
    def dead(self) -> bool:
        """Whether it is gone for certain: on this boot, among the processes that can be seen from here."""
        if not self.on_this_boot or self.namespace != _pid_namespace():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # it is there, and somebody else's
        now = start_ticks(self.pid)
        return now is not None and now != self.start_ticks


def boot_id() -> str:
    return BOOT_ID.read_text().strip().replace("-", "")


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None where that cannot be read."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on; the second is a name that may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return []


def _pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)
