"""One process's view of a rehearsed driver: its session, its handles, and the state that all processes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench.devices import catalog
from bench.devices.catalog import GpuModel
from bench.devices.rehearsal import instances
from bench.devices.rehearsal import state as states
from bench.devices.rehearsal.arguments import address
from bench.devices.rehearsal.processes import Session, this_process
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import ComputeInstance, GpuInstance, State

FIRST_HANDLE = 0x1000
Kind = Literal["gpu", "mig", "gpu instance", "compute instance", "sample"]


class Thing(NamedTuple):
    """What a handle stands for. `serial` of the instance; a MIG device is its compute instance."""

    kind: Kind
    serial: int = 0


GPU = Thing("gpu")


@dataclass
class Driver:
    """sessions: how often NVML was initialised and not shut down. numbers, things: handles, both ways. samples: the
    GPM samples of this process, by serial. sensed: time, state, and the state without the dead, of the last look."""

    path: Path
    sessions: int = 0
    numbers: dict[Thing, int] = field(default_factory=dict)
    things: dict[int, Thing] = field(default_factory=dict)
    samples: dict[int, Any] = field(default_factory=dict)
    last_sample: int = 0
    sensed: tuple[int, State, State] | None = None

    # --- the session --------------------------------------------------------------------------------------------

    def initialise(self) -> None:
        if self.sessions == 0:
            mine = Session(process=this_process())
            self.update(lambda state: state.with_(sessions=(*state.sessions, mine)))
        self.sessions += 1

    def shut_down(self) -> None:
        self.sessions -= 1
        if self.sessions > 0:
            return
        mine = Session(process=this_process())

        def change(state: State) -> State:
            rest = list(state.sessions)
            if mine in rest:
                rest.remove(mine)  # one of them: this process may have loaded NVML twice
            return state.with_(sessions=tuple(rest))

        self.update(change)

    # --- the state ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        try:
            return states.read(self.path)
        except FileNotFoundError:
            raise Refused("DRIVER_NOT_LOADED") from None

    @property
    def living(self) -> State:
        """Without the contexts of processes that have ended."""
        return states.read_living(self.path)

    def sense(self) -> tuple[State, int]:
        """What sensors feel: the state, and when the energy counter was last updated, in ns. Who still lives is looked
        up once between two updates, for reading a sensor must cost nothing."""
        now_ns = states.counter_ns()
        if self.sensed is None or self.sensed[0] != now_ns or self.sensed[1] is not self.state:
            living = self.living
            self.sensed = (now_ns, self.state, living)
        return self.sensed[2], now_ns

    def update(self, change: Callable[[State], State]) -> State:
        try:
            return states.update(self.path, change)
        except FileNotFoundError:
            raise Refused("DRIVER_NOT_LOADED") from None

    @property
    def model(self) -> GpuModel:
        return catalog.model(self.state.model)

    # --- handles ------------------------------------------------------------------------------------------------

    def handle(self, thing: Thing) -> int:
        """The opaque number of a thing: always the same within a process."""
        number = self.numbers.setdefault(thing, FIRST_HANDLE + 0x10 * len(self.numbers))
        self.things[number] = thing
        return number

    def thing(self, handle: Any, *kinds: Kind) -> Thing:
        """What a handle stands for. Raises Refused INVALID_ARGUMENT for none of these kinds."""
        found = self.things.get(address(handle))
        if found is None or found.kind not in kinds:
            raise Refused("INVALID_ARGUMENT")
        return found

    def gpu(self, handle: Any) -> State:
        """The state, where the handle is the GPU's own. Raises Refused; NOT_SUPPORTED for a MIG device."""
        if self.device(handle) != GPU:
            raise Refused("NOT_SUPPORTED")
        return self.state

    def device(self, handle: Any) -> Thing:
        """The GPU, or a MIG device that still is there. Raises Refused."""
        found = self.thing(handle, "gpu", "mig")
        self.refuse_lost()
        if found.kind == "mig":
            self.inside(found)
        return found

    def inside(self, thing: Thing) -> tuple[GpuInstance, ComputeInstance]:
        """The instances of a MIG device or compute instance. Raises Refused INVALID_ARGUMENT when they are gone."""
        return instances.inside(self.state, thing.serial)

    def gpu_instance(self, handle: Any) -> GpuInstance:
        thing = self.thing(handle, "gpu instance")
        self.refuse_lost()
        return instances.by_serial(self.state, thing.serial)

    def compute_instance(self, handle: Any) -> tuple[GpuInstance, ComputeInstance]:
        thing = self.thing(handle, "compute instance")
        self.refuse_lost()
        return self.inside(thing)

    def refuse_lost(self) -> None:
        if self.state.lost:
            raise Refused("GPU_IS_LOST")
