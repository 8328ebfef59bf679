"""The MIG mode, and the rights to change anything about MIG."""

from __future__ import annotations

from typing import Any

from bench.devices.rehearsal.arguments import number, put
from bench.devices.rehearsal.driver import Driver
from bench.devices.rehearsal.instances import set_mode
from bench.devices.rehearsal.processes import this_process
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import State


def nvmlDeviceGetMigMode(driver: Driver, device: Any, current: Any, pending: Any) -> None:
    state = can_mig(driver, device)
    put(current, int(state.mig))
    put(pending, int(state.pending))


def nvmlDeviceSetMigMode(driver: Driver, device: Any, mode: Any, activation: Any) -> None:
    can_mig(driver, device)
    privileged(driver)
    if number(mode) not in (0, 1):
        raise Refused("INVALID_ARGUMENT")
    obstacles: list[str | None] = []

    def change(state: State) -> State:
        after, obstacle = set_mode(state, driver.model, bool(number(mode)), this_process())
        obstacles.append(obstacle)
        return after

    driver.update(change)
    put(activation, Refused(obstacles[0]).code if obstacles[0] else 0)


def can_mig(driver: Driver, device: Any) -> State:
    """The state, of a GPU that has MIG. Raises Refused NOT_SUPPORTED for others, and in a vGPU guest."""
    state = driver.gpu(device)
    if not driver.model.profiles or state.faults.vgpu:
        raise Refused("NOT_SUPPORTED")
    return state


def in_mig(driver: Driver, device: Any) -> State:
    """The state, of a GPU whose MIG is on."""
    state = can_mig(driver, device)
    if not state.mig:
        raise Refused("NOT_SUPPORTED")
    return state


def privileged(driver: Driver) -> None:
    if driver.state.faults.no_permission:
        raise Refused("NO_PERMISSION")
