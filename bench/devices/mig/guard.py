"""When a MIG layout must not be changed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.contract import Gpu
from bench.devices.gpu_words import PROCESS_LISTS
from bench.devices.mig.journal import Created
from bench.devices.mig.layout import Instance, MigState
from bench.devices.nvml import Session
from bench.errors import InfeasibleHere


def refuse(session: Session, gpu: Gpu, state: MigState, created: Sequence[Created]) -> None:
    """Raise InfeasibleHere for whatever stands in the way. `created`: the instances that may go, being ours."""
    uuid = gpu.address.uuid
    if gpu.virtualization == "vgpu":
        raise InfeasibleHere(
            "this is a vGPU guest: its host divides the GPU", where=uuid, hint="change the layout on the host"
        )
    if state.on is None:
        raise InfeasibleHere(f"{gpu.product} has no MIG", where=uuid, hint="time_shared and mps divide any GPU")
    if state.pending != state.on:
        raise InfeasibleHere(
            f"MIG is waiting to be switched {'on' if state.pending else 'off'} by a reset",
            where=uuid,
            hint=f"nvidia-smi -i {uuid} -r (nothing may use the GPU), or take it back: nvidia-smi -i {uuid} -mig "
            f"{int(state.on)}",
        )
    if state.instances is None:
        raise InfeasibleHere(
            "this user may not see the MIG layout", where=uuid, hint="as root, or with read access to mig/config"
        )
    if running := _lasting(session, uuid):
        raise InfeasibleHere(
            f"the GPU is in use by process {', '.join(map(str, running))}",
            where=uuid,
            hint="end it, or use the layout as it is",
        )
    if foreign := [instance for instance in state.instances if not made_by_us(instance, created)]:
        numbers = ", ".join(str(instance.number) for instance in foreign)
        raise InfeasibleHere(
            f"the layout is not ours to change: GPU instance {numbers} was made by somebody else",
            where=uuid,
            hint="`bench mig status` shows it, `bench mig restore` undoes what `bench mig apply` made; or remove it by "
            f"hand: nvidia-smi mig -i {uuid} -dci; nvidia-smi mig -i {uuid} -dgi",
        )


PATIENCE_S = (0.05, 0.1, 0.2, 0.4)


def made_by_us(instance: Instance, created: Sequence[Created]) -> bool:
    """Whether an instance is one of those that were written down. One that we were about to create when we were killed
    has no number yet; it is known by its place."""
    return any(
        instance.place == (made.profile_id, made.start) and made.number in (None, instance.number) for made in created
    )


def _lasting(session: Session, uuid: str) -> list[int]:
    """Processes that are there for longer than one that has just ended may be listed."""
    for pause_s in PATIENCE_S:
        if not processes(session, uuid):
            return []
        time.sleep(pause_s)
    return processes(session, uuid)


def processes(session: Session, uuid: str) -> list[int]:
    """Ids of all that compute or draw on the GPU; in a container NVML may show fewer than there are. Raises
    InfeasibleHere where even those that compute are not told: that is not nobody."""
    handle = session.device(uuid)
    told = {kind: session.ask(call, handle) for kind, call in PROCESS_LISTS.items()}
    if told["compute"] is None:
        raise InfeasibleHere(
            "who uses the GPU is not told to this user", where=uuid, hint="as root, or with a newer driver"
        )
    return sorted({process.pid for running in told.values() for process in running or ()})
