"""Where a GPU's work is queued, and moments in it: by these a tenant times it. Plug-ins import from bench.contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Event(Protocol):
    """A moment on a GPU's stream; `torch.cuda.Event(enable_timing=True)` is one."""

    def record(self) -> None:
        """Take the moment when all that was queued before is finished."""

    def synchronize(self) -> None:
        """Wait for that moment."""

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds from this moment to `end`, on the GPU's own clock. Both must be over."""


class Stream(ABC):
    """(tenant) Where calls queue their work on a GPU."""

    l2_bytes: int
    """Of the GPU's last-level cache, as this tenant has it."""

    @abstractmethod
    def event(self) -> Event:
        """A new moment to be recorded here."""

    @abstractmethod
    def wait(self) -> None:
        """Until everything queued is finished."""

    @abstractmethod
    def flush_l2(self) -> None:
        """Queue a write over more than the whole cache: what comes after finds nothing of its data there."""
