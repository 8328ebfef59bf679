"""The MIG instance that several tenants share, where they do not share the whole GPU."""

from __future__ import annotations

from bench.contract import Gpu
from bench.devices import geometry
from bench.devices.mig.change import Wanted
from bench.errors import ConfigError
from bench.partitions.no_mig import no_mig


def unsuited_slice(gpu: Gpu, kind: str | None) -> str | None:
    """Why this GPU cannot have one such instance; None if it can, or if `kind` is None (the whole GPU)."""
    if kind is None:
        return None
    if reason := no_mig(gpu):
        return reason
    try:
        geometry.parse([kind], gpu.profiles)
    except ConfigError as error:
        return f"{error.what}: {error.hint}"
    return None


def shared_slice(gpu: Gpu, kind: str | None) -> Wanted:
    """One instance of the profile, or the whole GPU with MIG off."""
    if kind is None:
        return Wanted(on=False)
    placed = geometry.place(geometry.parse([kind], gpu.profiles))
    assert placed is not None
    return Wanted(True, placed)
