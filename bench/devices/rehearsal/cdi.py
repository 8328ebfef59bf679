"""A rehearsed GPU in containers: its CDI specification, and how its driver hears of tenants that run in them.

Its kind is its own and never NVIDIA's, and its device nodes are stand-ins for /dev/null: what is rehearsed is that each
container gets the nodes of one device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import clock
from bench.devices.rehearsal import state as states
from bench.devices.rehearsal.processes import Context, process
from bench.devices.rehearsal.state import State

VENDOR = "rehearsal.bench"
VERSION = "0.5.0"
"""The newest that podman 4.3 understands."""
DEV = "/dev/bench-rehearsal"
DEVICE = "BENCH_REHEARSED_DEVICE"
"""UUID, in the environment that the specification gives."""


def specification(path: Path, kind: str) -> dict[str, Any]:
    """Of all devices that the GPU whose state is in `path` has now: itself, or with MIG on its MIG devices."""
    state = states.read(path)
    return {
        "cdiVersion": VERSION,
        "kind": kind,
        "devices": [_device(uuid, nodes) for uuid, nodes in _devices(state).items()],
        "containerEdits": {"deviceNodes": [_node("ctl")]},
    }


def _devices(state: State) -> dict[str, list[str]]:
    """Names of device nodes by UUID, as the driver has them: the GPU's, and of a slice those of its two instances."""
    if not state.mig:
        return {state.uuid: ["gpu0"]}
    return {
        state.mig_uuid(outer, inner): ["gpu0", f"gi{outer.number}", f"gi{outer.number}-ci{inner.number}"]
        for outer in state.instances
        for inner in outer.compute_instances
    }


def _device(uuid: str, nodes: list[str]) -> dict[str, Any]:
    return {
        "name": uuid,
        "containerEdits": {"env": [f"{DEVICE}={uuid}"], "deviceNodes": [_node(name) for name in nodes]},
    }


def _node(name: str) -> dict[str, str]:
    return {"path": f"{DEV}/{name}", "hostPath": "/dev/null", "type": "c", "permissions": "rw"}


def attach(path: Path, uuid: str, pid: int) -> None:
    """The process `pid` of this machine is a client of `uuid` while it lives. A tenant in a container cannot tell: it
    neither sees the driver's file nor knows its own number outside."""
    client = process(pid)
    if client is None:
        return
    context = Context(process=client, uuid=uuid, since_ns=clock.now_ns())
    states.update(path, lambda state: state.with_(contexts=(*state.contexts, context)))
