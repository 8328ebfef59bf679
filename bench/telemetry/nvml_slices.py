"""The MIG layout that the tenants were given: their GPU instances' memory, and whether the layout still is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.contract import Reading
from bench.devices.nvml import GpuLost, NvmlError
from bench.telemetry.nvml_calls import Calls, instance


class LayoutChanged(Exception):
    """The tenants no longer have what they were given: nothing that is read from here on is theirs."""


class Slices:
    """`handles`: of a MIG device in each GPU instance that has tenants, by the instance's id; empty with MIG off.

    A MIG device's UUID comes again when the same instance is created anew, so it is the handles, which die with their
    instance, that are asked. One more instance beside the tenants' own is not noticed here, but what runs in it is a
    foreign process."""

    def __init__(self, calls: Calls, board: Any, handles: Mapping[int, Any]) -> None:
        self._calls = calls
        self._board = board
        self._handles = dict(handles)
        self._mode = self._current_mode()

    def sizes(self) -> Iterator[Reading]:
        """Multiprocessors of each MIG device: a GPU instance's own, where one compute instance fills it."""
        for number, handle in self._handles.items():
            size = self._calls.ask("nvmlDeviceGetAttributes", handle)
            if size is not None and size.multiprocessorCount:
                yield instance(number), "multiprocessors", size.multiprocessorCount

    def read(self) -> Iterator[Reading]:
        """Raises LayoutChanged."""
        try:
            for number, handle in self._handles.items():
                if self._calls.ask("nvmlDeviceGetGpuInstanceId", handle) != number:
                    raise LayoutChanged
                memory = self._calls.ask("nvmlDeviceGetMemoryInfo", handle)
                if memory is not None:
                    yield instance(number), "memory_used_bytes", memory.used
        except GpuLost:
            raise
        except NvmlError as error:  # what a handle that has died gives is not documented
            raise LayoutChanged from error
        if self._current_mode() != self._mode:
            raise LayoutChanged

    def _current_mode(self) -> int | None:
        """MIG on or off now; None where the GPU has no MIG."""
        modes = self._calls.ask("nvmlDeviceGetMigMode", self._board)
        return modes[0] if modes is not None else None
