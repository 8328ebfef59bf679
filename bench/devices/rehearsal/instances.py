"""The MIG state machine: what creating, destroying and switching do to a state. Every function gives a new one.

Where the driver chooses a place, it takes the one that leaves most other places free, and of equals the first. This
gives every placement in the published captures (facts: 3g at 4, 2g at 0, 1g at 2 and 3 from `-cgi 9,14,19,19`), and
refuses `19,19,14,9`, as hardware does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.devices.catalog import GpuModel
from bench.devices.geometry import Placement, Profile
from bench.devices.rehearsal.processes import Process
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import ComputeInstance, GpuInstance, State

COMPUTE_SLICES = {0: 1, 1: 2, 2: 3, 3: 4, 4: 7}
"""Compute slices of NVML's compute instance profiles. Their ids within a GPU instance are the same numbers."""
NO_RESET = frozenset({"hopper", "blackwell"})
"""Architectures that switch MIG without a reset."""


# --- GPU instances ----------------------------------------------------------------------------------------------


def profile_of(model: GpuModel, profile_id: int) -> Profile:
    """The profile that NVML's id names. Raises Refused INVALID_ARGUMENT; NOT_SUPPORTED where its places are unknown."""
    found = next((profile for profile in model.profiles if profile.id == profile_id), None)
    if found is None:
        raise Refused("INVALID_ARGUMENT")
    if not found.starts:
        raise Refused("NOT_SUPPORTED")
    return found


def by_serial(state: State, serial: int) -> GpuInstance:
    """Raises Refused INVALID_ARGUMENT for one that is gone."""
    for instance in state.instances:
        if instance.serial == serial:
            return instance
    raise Refused("INVALID_ARGUMENT")


def capacity(state: State, profile: Profile) -> int:
    """How many more instances of it can be created now."""
    there = sum(instance.profile_id == profile.id for instance in state.instances)
    return min(profile.max_instances - there, len(_free_starts(state, profile)))


def create_gpu_instance(state: State, model: GpuModel, profile: Profile, start: int | None) -> State:
    """With a new instance, the last one, at `start` or (None) where the driver likes. Raises Refused."""
    if capacity(state, profile) < 1:
        raise Refused("INSUFFICIENT_RESOURCES")
    free = _free_starts(state, profile)
    if start is None:
        start = max(free, key=lambda place: (_left_free(state, model, profile, place), -place))
    elif start not in profile.starts:
        raise Refused("INVALID_ARGUMENT")
    elif start not in free:
        raise Refused("INSUFFICIENT_RESOURCES")
    assert model.grid is not None and profile.id is not None
    instance = GpuInstance(
        serial=state.last_serial + 1,
        number=model.grid // profile.size - 1 + start // profile.size,  # as seen on hardware: a heap's numbering
        profile_id=profile.id,
        start=start,
        size=profile.size,
    )
    return state.with_(instances=(*state.instances, instance), last_serial=instance.serial)


def destroy_gpu_instance(state: State, instance: GpuInstance) -> State:
    if instance.compute_instances:
        raise Refused("IN_USE")
    return state.with_(instances=tuple(other for other in state.instances if other != instance))


def _free_starts(state: State, profile: Profile) -> list[int]:
    taken = _cells((instance.start, instance.size) for instance in state.instances)
    return [start for start in sorted(profile.starts) if taken.isdisjoint(Placement(profile, start).occupied)]


def _left_free(state: State, model: GpuModel, profile: Profile, start: int) -> int:
    """How many places, of all profiles, are still free once one is taken."""
    taken = _cells((instance.start, instance.size) for instance in state.instances)
    taken |= set(Placement(profile, start).occupied)
    places = (Placement(other, place) for other in model.profiles for place in other.starts)
    return sum(taken.isdisjoint(place.occupied) for place in places)


# --- compute instances ------------------------------------------------------------------------------------------


def inside(state: State, serial: int) -> tuple[GpuInstance, ComputeInstance]:
    """A compute instance and the GPU instance around it. Raises Refused INVALID_ARGUMENT for one that is gone."""
    for outer in state.instances:
        for inner in outer.compute_instances:
            if inner.serial == serial:
                return outer, inner
    raise Refused("INVALID_ARGUMENT")


def compute_starts(slices: int, size: int) -> range:
    """Where a compute instance of `size` slices may begin in a GPU instance of so many."""
    return range(0, slices - size + 1, size)


def compute_size(slices: int, profile: int) -> int:
    """Compute slices of a profile within a GPU instance of so many. Raises Refused."""
    if profile not in COMPUTE_SLICES or COMPUTE_SLICES[profile] > slices:
        raise Refused("NOT_SUPPORTED")
    return COMPUTE_SLICES[profile]


def create_compute_instance(state: State, model: GpuModel, outer: GpuInstance, profile: int) -> State:
    """With a new compute instance, the last one of `outer`, placed by the driver. Raises Refused."""
    slices = profile_of(model, outer.profile_id).compute_slices
    size = compute_size(slices, profile)
    taken = _cells((inner.start, inner.size) for inner in outer.compute_instances)
    free = [start for start in compute_starts(slices, size) if taken.isdisjoint(range(start, start + size))]
    if not free:
        raise Refused("INSUFFICIENT_RESOURCES")
    inner = ComputeInstance(
        serial=state.last_serial + 1,
        number=_lowest(other.number for other in outer.compute_instances),
        profile=profile,
        start=max(free, key=lambda start: (_left_in(slices, taken | set(range(start, start + size))), -start)),
        size=size,
        index=_lowest(other.index for one in state.instances for other in one.compute_instances),
    )
    larger = outer.model_copy(update={"compute_instances": (*outer.compute_instances, inner)})
    return _replaced(state, outer, larger).with_(last_serial=inner.serial)


def destroy_compute_instance(state: State, outer: GpuInstance, inner: ComputeInstance) -> State:
    if clients(state, state.mig_uuid(outer, inner)):
        raise Refused("IN_USE")
    rest = tuple(other for other in outer.compute_instances if other != inner)
    return _replaced(state, outer, outer.model_copy(update={"compute_instances": rest}))


def _replaced(state: State, old: GpuInstance, new: GpuInstance) -> State:
    return state.with_(instances=tuple(new if other == old else other for other in state.instances))


def _left_in(slices: int, taken: set[int]) -> int:
    sizes = [size for size in COMPUTE_SLICES.values() if size <= slices]
    return sum(taken.isdisjoint(range(start, start + size)) for size in sizes for start in compute_starts(slices, size))


# --- the mode ---------------------------------------------------------------------------------------------------


def set_mode(state: State, model: GpuModel, on: bool, caller: Process) -> tuple[State, str | None]:
    """The state after asking for the mode, and the name of what keeps it from being current (None: it is).

    A GPU that is in use gets the mode by the next reset only. Before Hopper, switching is itself a reset: even an NVML
    session of another process is in its way, and a virtual machine cannot do it."""
    if not on and state.instances:
        raise Refused("IN_USE")  # strict: whether a driver would destroy them is not known
    asked = state.with_(pending=on)
    if on == state.mig:
        return asked, None
    if model.architecture not in NO_RESET:
        if state.faults.passthrough:
            return asked, "RESET_REQUIRED"
        if any(session.process.pid != caller.pid for session in state.sessions):
            return asked, "IN_USE"
    if state.faults.mode_stays_pending or clients(state):
        return asked, "IN_USE"
    return asked.with_(mig=on), None


def clients(state: State, uuid: str | None = None) -> Sequence[int]:
    """Process ids of all contexts on the GPU, or on the one MIG device of that UUID."""
    found = [context.process.pid for context in state.contexts if uuid in (None, context.uuid)]
    foreign = state.faults.foreign_process
    if foreign is not None and (uuid is None or foreign.on in (None, uuid)):
        found.append(foreign.pid)
    return found


def _cells(places: Iterable[tuple[int, int]]) -> set[int]:
    return {cell for start, size in places for cell in range(start, start + size)}


def _lowest(taken: Iterable[int]) -> int:
    there = set(taken)
    return next(number for number in range(len(there) + 1) if number not in there)
