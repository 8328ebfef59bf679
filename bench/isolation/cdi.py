"""From a slot's GPU to what a container engine is to be given, so that its tenant gets that device and no other.

with cdi.opened(engine) as gpus:                     # once per run
    devices = gpus.of(slot)                          # raises StartFailed, in words
    body["HostConfig"] |= devices.host_config
    environment |= devices.environment
    container = gpus.create(body, devices)           # raises StartFailed
    ...
    gpus.started(slot, pid)                          # the tenant's, as this machine counts
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.contract import Slot, StartFailed


class EngineLike(Protocol):
    """What is needed of an engine (bench.isolation.engine.Engine)."""

    kind: Any
    version: str
    socket: Path

    def create(self, body: dict[str, Any]) -> str: ...


@dataclass(frozen=True)
class DeviceArguments:
    """host_config: to put into HostConfig. environment: to put into the tenant's, over all others. names: qualified
    names of CDI devices that this engine takes by another interface only: `GpuDevices.create` uses it."""

    host_config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()


class GpuDevices:
    def __init__(self, engine: EngineLike) -> None:
        self.engine = engine

    def of(self, slot: Slot) -> DeviceArguments:
        """Nothing for a slot without a GPU."""
        if slot.gpu is None:
            return DeviceArguments()
        raise StartFailed("this engine has no way to hand out a GPU")

    def create(self, body: dict[str, Any], devices: DeviceArguments) -> str:
        """A container's id. `body` as in the API's documentation of /containers/create."""
        return self.engine.create(body)

    def started(self, slot: Slot, pid: int) -> None:
        """A tenant runs there."""


@contextmanager
def opened(engine: EngineLike, regenerate: bool = False) -> Iterator[GpuDevices]:
    """For a run. `regenerate`: where the machine's CDI specification is older than a MIG layout that bench made, make
    one for it (nvidia-ctk), of a kind of its own, for as long as the run lasts."""
    yield GpuDevices(engine)
