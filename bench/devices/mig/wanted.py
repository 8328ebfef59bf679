"""A layout as people write it."""

from __future__ import annotations

from pathlib import Path

from bench.contract import Gpu
from bench.devices import geometry
from bench.devices.mig import parted
from bench.devices.mig.change import Wanted
from bench.errors import ConfigError, InfeasibleHere


def wanted_layout(gpu: Gpu, text: str, file: Path | None = None) -> Wanted:
    """ "off", a list of profiles such as "3g,2g,2x1g", or a label of a mig-parted `file`."""
    if file is not None:
        entry = parted.choose(parted.read(file), text, gpu.pci_device_id)
        if not entry.mig_enabled:
            return Wanted(on=False)
        return _placed(gpu, [f"{count}x{name}" for name, count in entry.mig_devices.items()])
    if text == "off":
        return Wanted(on=False)
    return _placed(gpu, text)


def _placed(gpu: Gpu, profiles: str | list[str]) -> Wanted:
    if not gpu.profiles:
        raise InfeasibleHere(f"{gpu.product} has no MIG", where=gpu.address.uuid, hint="`bench mig plan off` is all")
    placed = geometry.place(geometry.parse(profiles, gpu.profiles))
    if placed is None:
        raise ConfigError(
            f"these profiles do not fit beside each other on {gpu.product}",
            where=str(profiles),
            hint=f"possible are {geometry.possible(gpu.profiles)}",
        )
    return Wanted(True, placed)
