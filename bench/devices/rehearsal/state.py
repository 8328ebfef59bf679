"""The state of a rehearsed GPU: one JSON file, as lasting as a driver's, shared by all processes.

Changes happen under a lock, into a new file that then takes the old one's place: a process that is killed at any point
leaves the state before or after its call, whole. Reading costs a look at the file's signature.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench import clock
from bench.devices import catalog
from bench.devices.rehearsal.faults import Faults, checked
from bench.devices.rehearsal.processes import Context, Session, lives, this_process
from bench.errors import ConfigError, InfeasibleHere, InputError, StoreError

NAMES = uuid.UUID("6f1c2b1e-5b0c-5e0a-9c55-0d6a2f4b7c11")
"""Space of the names that UUIDs of rehearsed GPUs and MIG devices are made from; any constant would do."""
ENERGY_STEP_NS = 100_000_000
"""Time between two updates of the energy counter."""


class ComputeInstance(BaseModel):
    """`serial` is never given twice, `number` is the driver's id within the GPU instance, `profile` NVML's number of
    the profile, `index` that of the MIG device; start and size count compute slices."""

    model_config = ConfigDict(frozen=True)

    serial: int
    number: int
    profile: int
    start: int
    size: int
    index: int


class GpuInstance(BaseModel):
    """`profile_id` is NVML's id of the profile; start and size count memory slices; the rest as above."""

    model_config = ConfigDict(frozen=True)

    serial: int
    number: int
    profile_id: int
    start: int
    size: int
    compute_instances: tuple[ComputeInstance, ...] = ()


class State(BaseModel):
    """mig, pending: the mode now, and after the next reset. last_serial: of instances. calls, failed: counted since the
    faults were set, in all and by symbol, where a fault needs it. client_ns: time that contexts which are gone held
    the GPU, all together."""

    model_config = ConfigDict(frozen=True)

    model: str
    uuid: str
    mig: bool = False
    pending: bool = False
    instances: tuple[GpuInstance, ...] = ()
    last_serial: int = 0
    sessions: tuple[Session, ...] = ()
    contexts: tuple[Context, ...] = ()
    faults: Faults = Faults()
    calls: int = 0
    failed: dict[str, int] = {}
    lost: bool = False
    client_ns: int = 0

    def with_(self, **changes: Any) -> State:
        return self.model_copy(update=changes)

    def mig_uuid(self, instance: GpuInstance, inner: ComputeInstance) -> str:
        """The same for the same profiles in the same places of the same GPU, as on hardware."""
        place = (self.uuid, instance.profile_id, instance.start, inner.profile, inner.start)
        return f"MIG-{uuid.uuid5(NAMES, '/'.join(map(str, place)))}"

    def mig_uuids(self) -> frozenset[str]:
        return frozenset(self.mig_uuid(outer, inner) for outer in self.instances for inner in outer.compute_instances)


def create(path: Path, model: str, faults: Mapping[str, Any] | Faults | None = None) -> None:
    """Put a GPU of a catalog model there, in good health and with MIG off, unless there is one. Faults that differ from
    its own are set. Raises ConfigError: unknown model, fault, or another model's GPU."""
    catalog.model(model)
    wished = None if faults is None else checked(faults)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "name a file in a folder that you may write to: gpu.state=FILE, or BENCH_STATE_DIR"
        raise StoreError(f"no GPU can be rehearsed there: {error.strerror}", where=str(path), hint=hint) from error
    with _locked(path):
        if not path.exists():
            name = f"GPU-{uuid.uuid5(NAMES, f'{model} {path.absolute()}')}"
            _write(path, State(model=model, uuid=name, faults=wished or Faults()))
            return
        state = read(path)
        if state.model != model:
            hint = "name another file, or remove this one"
            raise ConfigError(f"this rehearsed GPU is a {state.model}, not a {model}", where=str(path), hint=hint)
        if wished is not None and wished != state.faults:
            _write(path, state.with_(faults=wished, calls=0, failed={}))


def set_faults(path: Path, faults: Mapping[str, Any] | Faults) -> None:
    """Set all faults anew; calls are counted from here."""
    wished = checked(faults)
    update(path, lambda state: state.with_(faults=wished, calls=0, failed={}))


def reset(path: Path) -> None:
    """As a GPU reset, or a reboot: the pending mode becomes the current one, instances and contexts are gone, a lost
    GPU is back."""
    update(path, lambda s: _let_go(s, s.contexts).with_(mig=s.pending, instances=(), lost=False))


def attach(path: Path, uuid: str, mps: bool = False) -> None:
    """What creating a CUDA context does: this process is a client of the GPU or MIG device `uuid`, until it detaches
    or ends. Raises InfeasibleHere where there is no such device to compute on."""
    context = Context(process=this_process(), uuid=uuid, since_ns=clock.now_ns(), mps=mps)

    def change(state: State) -> State:
        there = state.mig_uuids() if state.mig else {state.uuid}
        if state.lost or uuid not in there:
            hint = "under MIG there is none but its instances; `bench mig status` shows them"
            raise InfeasibleHere(f"there is no CUDA device {uuid}", where=str(path), hint=hint)
        return state.with_(contexts=(*state.contexts, context))

    update(path, change)


def detach(path: Path, uuid: str) -> None:
    """What destroying them does: this process's contexts on `uuid` are gone. Without any, nothing happens."""
    mine = this_process()
    update(path, lambda s: _let_go(s, tuple(c for c in s.contexts if c.process == mine and c.uuid == uuid)))


_cache: dict[Path, tuple[int, State]] = {}


def read(path: Path) -> State:
    """The state now; processes in it may have ended since. Raises FileNotFoundError, InputError."""
    signature = path.stat().st_mtime_ns  # of no two states the same: see _write
    known = _cache.get(path)
    if known is not None and known[0] == signature:
        return known[1]
    try:
        state = State.model_validate_json(path.read_bytes())
    except ValidationError as error:
        hint = "it is no state of a rehearsed GPU of this version: remove it"
        raise InputError("the file cannot be read", where=str(path), hint=hint) from error
    _cache[path] = (signature, state)
    return state


def read_living(path: Path) -> State:
    """The state now, without the contexts of ended processes. Their time on the GPU is noted: no counter ever falls."""
    state = read(path)
    if all(lives(context.process) for context in state.contexts):
        return state
    return update(path, lambda living: living)


def update(path: Path, change: Callable[[State], State]) -> State:
    """Read, change, write, with everybody else waiting. What `change` raises leaves the state as it was."""
    with _locked(path):
        before = read(path)
        after = change(_without_dead(before))
        if after is not before:
            _write(path, after)
        return after


def _without_dead(state: State) -> State:
    """The same object where nobody has died."""
    gone = tuple(context for context in state.contexts if not lives(context.process))
    sessions = tuple(session for session in state.sessions if lives(session.process))
    if not gone and len(sessions) == len(state.sessions):
        return state
    return _let_go(state, gone).with_(sessions=sessions)


def counter_ns() -> int:
    """When the energy counter was last updated, on the clock of bench.clock."""
    return clock.now_ns() // ENERGY_STEP_NS * ENERGY_STEP_NS


def held_ns(contexts: tuple[Context, ...], until_ns: int) -> int:
    """How long they have held the GPU, all together."""
    return sum(max(0, until_ns - context.since_ns) for context in contexts)


def _let_go(state: State, gone: tuple[Context, ...]) -> State:
    kept = tuple(context for context in state.contexts if context not in gone)
    return state.with_(contexts=kept, client_ns=state.client_ns + held_ns(gone, counter_ns()))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock is another file, since the state's own is replaced. A process that dies lets go of it."""
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, state: State) -> None:
    """Clocks of file systems tick slowly; here every state is younger than the one before."""
    new = path.with_suffix(".new")
    new.write_text(state.model_dump_json())
    if path.exists():
        stamp = max(new.stat().st_mtime_ns, path.stat().st_mtime_ns + 1)
        os.utime(new, ns=(stamp, stamp))
    new.replace(path)
