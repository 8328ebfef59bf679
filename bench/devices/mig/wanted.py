"""A layout as people write it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.contract import Gpu
from bench.devices import geometry, nvml
from bench.devices.mig import parted
from bench.devices.mig.change import Wanted
from bench.errors import ConfigError, InfeasibleHere


def wanted_layout(gpu: Gpu, text: str, file: Path | None = None) -> Wanted:
    """ "off", a list of profiles such as "3g,2g,2x1g", or a label of a mig-parted `file`."""
    if file is not None:
        with nvml.session(gpu.address.driver) as session:  # mig-parted counts GPUs as NVML does
            index = session.do("nvmlDeviceGetIndex", session.device(gpu.address.uuid))
        entry = parted.choose(parted.read(file), text, gpu.pci_device_id, index)
        return _placed(gpu, entry.texts) if entry.mig_enabled else Wanted(on=False)
    if text == "off":
        return Wanted(on=False)
    return _placed(gpu, text)


def _placed(gpu: Gpu, profiles: str | Sequence[str]) -> Wanted:
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
