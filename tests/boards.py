"""Rehearsed GPUs for tests: made, described, and looked at from outside of bench's own bookkeeping."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract import Gpu, GpuAddress
from bench.devices import geometry, nvml
from bench.devices.gpu import describe
from bench.devices.mig.change import Wanted
from bench.devices.mig.instances import create_gpu_instance, fill
from bench.devices.rehearsal import state


class Board:
    """One rehearsed GPU in a file."""

    def __init__(self, folder: Path, model: str = "a100-40gb") -> None:
        self.path = folder / f"{model}.json"
        state.create(self.path, model)
        self.address = GpuAddress(state.read(self.path).uuid, str(self.path))

    @property
    def gpu(self) -> Gpu:
        with nvml.session(self.address.driver) as session:
            return describe(session, self.address)

    def wanted(self, profiles: str) -> Wanted:
        placed = geometry.place(geometry.parse(profiles, self.gpu.profiles))
        assert placed is not None
        return Wanted(True, placed)

    def look(self) -> tuple[bool, bool, tuple[tuple[int, int, int], ...]]:
        """(MIG now, MIG after a reset, each instance's number, profile and start), as the driver itself knows it."""
        now = state.read(self.path)
        return now.mig, now.pending, tuple((i.number, i.profile_id, i.start) for i in now.instances)

    def by_somebody_else(self, profiles: str) -> None:
        """MIG on, with instances that bench did not create."""
        with nvml.session(self.address.driver) as session:
            session.do("nvmlDeviceSetMigMode", session.device(self.address.uuid), 1)
            gpu = session.device(self.address.uuid)
            for placement in self.wanted(profiles).placements if profiles else ():
                fill(session, gpu, create_gpu_instance(session, gpu, placement))


def forked(work: Callable[[], None]) -> int:
    """Process id of a copy of this process that does `work` and ends with 0, or with 1 when it raises."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


@contextmanager
def elsewhere(board: Board) -> Iterator[None]:
    """Another process has an NVML session open."""
    said, told = os.pipe()

    def hold() -> None:
        with nvml.session(board.address.driver):
            os.write(told, b".")
            signal.pause()

    pid = forked(hold)
    os.read(said, 1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(said)
        os.close(told)
