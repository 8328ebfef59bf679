"""The same changes as commands for people: shown in plans, never run by bench."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contract import Gpu
from bench.devices.mig.change import Wanted


def commands(gpu: Gpu, wanted: Wanted) -> Iterator[str]:
    """From MIG as it was found to the wanted layout. Nothing where nothing has to change."""
    if wanted.fits(gpu.mig):
        return
    uuid = gpu.address.uuid
    if gpu.mig.instances:
        yield f"nvidia-smi mig -i {uuid} -dci"
        yield f"nvidia-smi mig -i {uuid} -dgi"
    if bool(gpu.mig.on) != wanted.on:
        yield f"nvidia-smi -i {uuid} -mig {int(wanted.on)}"
    if wanted.placements:
        places = ",".join(f"{placement.profile.id}:{placement.start}" for placement in wanted.placements)
        yield f"nvidia-smi mig -i {uuid} -cgi {places} -C"
