"""Who computes on the GPU. A context is all that a rehearsed process has; none draws."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.devices.rehearsal.arguments import fill, number, put, referred
from bench.devices.rehearsal.calls.device import CONTEXT_BYTES
from bench.devices.rehearsal.driver import GPU, Driver
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import State

NO_INSTANCE = 0xFFFFFFFF


class _Client(NamedTuple):
    pid: int
    gpu_instance: int = NO_INSTANCE
    compute_instance: int = NO_INSTANCE


def nvmlDeviceGetComputeRunningProcesses_v3(driver: Driver, device: Any, count: Any, infos: Any) -> None:
    _list(driver, device, count, infos, mps=False)


def nvmlDeviceGetMPSComputeRunningProcesses_v3(driver: Driver, device: Any, count: Any, infos: Any) -> None:
    _list(driver, device, count, infos, mps=True)


def nvmlDeviceGetGraphicsRunningProcesses_v3(driver: Driver, device: Any, count: Any, infos: Any) -> None:
    driver.device(device)
    put(count, 0)


def nvmlDeviceGetProcessUtilization(driver: Driver, device: Any, samples: Any, count: Any, since: Any) -> None:
    """There never are samples."""
    if driver.gpu(device).mig:
        raise Refused("NOT_SUPPORTED")
    put(count, 0)


def _list(driver: Driver, device: Any, count: Any, infos: Any, mps: bool) -> None:
    thing = driver.device(device)
    found = _clients(driver.living, mps)
    if thing != GPU:
        outer, inner = driver.inside(thing)
        found = [one for one in found if one[1:] == (outer.number, inner.number)]
    room = number(referred(count))
    put(count, len(found))
    if len(found) > room:
        raise Refused("INSUFFICIENT_SIZE")
    for index, client in enumerate(found):
        fill(
            referred(infos)[index], pid=client.pid, usedGpuMemory=CONTEXT_BYTES, gpuInstanceId=client.gpu_instance,
            computeInstanceId=client.compute_instance,
        )  # fmt: skip


def _clients(state: State, mps: bool) -> list[_Client]:
    where = {
        state.mig_uuid(outer, inner): (outer.number, inner.number)
        for outer in state.instances
        for inner in outer.compute_instances
    }
    nowhere = (NO_INSTANCE, NO_INSTANCE)
    holders = {(one.process.pid, one.uuid) for one in state.contexts if one.mps == mps}
    found = [_Client(pid, *where.get(uuid, nowhere)) for pid, uuid in sorted(holders)]
    foreign = state.faults.foreign_process
    if foreign is None or mps:
        return found
    if state.mig and foreign.on in (None, state.uuid):  # of the whole GPU: in every instance
        return [*found, *(_Client(foreign.pid, *place) for place in where.values())]
    if foreign.on in (None, state.uuid, *where):
        return [*found, _Client(foreign.pid, *where.get(foreign.on or "", nowhere))]
    return found
