"""The GPU models that bench knows, from catalog.yaml beside this file: what a rehearsal plays, and what planning knows
of GPUs whose driver does not tell where MIG instances may begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from bench.devices.geometry import Profile
from bench.errors import ConfigError

GIB = 2**30
MEMORY_STEP_BYTES = 64 * 2**20
"""nvidia-smi prints GiB with two decimals; instances have whole multiples of this (20096 MiB is printed as 19.62)."""


@dataclass(frozen=True)
class GpuModel:
    """None is unknown. `product` as NVML prints it. `memory_bytes` is the figure in the name; a driver reports a little
    less. `pci_device_ids` as NVML has them (0x20B010DE: device, vendor): all boards of this geometry, while product and
    multiprocessors are those of the first. `grid` is the number of memory slices; without MIG it is None,
    `compute_slices` 0 and `profiles` empty."""

    name: str
    product: str
    architecture: str
    compute_capability: tuple[int, int] | None
    memory_bytes: int
    sm_count: int | None
    pci_device_ids: tuple[int, ...]
    grid: int | None
    compute_slices: int
    profiles: tuple[Profile, ...]


@cache
def models() -> Mapping[str, GpuModel]:
    """All models by name, in the order of the file."""
    import yaml

    # libyaml, where PyYAML was built with it, reads the file in a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files("bench.devices").joinpath("catalog.yaml").read_text(encoding="utf-8")
    tree = yaml.load(text, Loader=loader)
    return MappingProxyType({name: _model(name, node, tree["families"]) for name, node in tree["models"].items()})


def model(name: str) -> GpuModel:
    """Raises ConfigError with the nearest names."""
    if name not in models():
        near = get_close_matches(name, models(), n=3) or list(models())
        raise ConfigError(f"there is no GPU model {name[:40]!r}", where="gpu", hint=f"say {', '.join(near)}")
    return models()[name]


def by_pci_device_id(pci_device_id: int) -> GpuModel | None:
    """Of NVML's `pciDeviceId`; None: not in the catalog."""
    return next((known for known in models().values() if pci_device_id in known.pci_device_ids), None)


def _model(name: str, node: dict[str, Any], families: dict[str, Any]) -> GpuModel:
    family = families[node["family"]] if node["family"] else {"grid": None, "compute_slices": 0, "profiles": {}}
    return GpuModel(
        name=name,
        product=node["product"],
        architecture=node["architecture"],
        compute_capability=tuple(node["compute_capability"]) if node["compute_capability"] else None,
        memory_bytes=node["memory_gib"] * GIB,
        sm_count=node["sm_count"],
        pci_device_ids=tuple(node["pci_device_ids"]),
        grid=family["grid"],
        compute_slices=family["compute_slices"],
        profiles=tuple(_profile(place, node["profiles"][kind]) for kind, place in family["profiles"].items()),
    )


def _profile(place: dict[str, Any], size: dict[str, Any]) -> Profile:
    copy_engines, decoders, encoders, jpegs, ofas = size["engines"]
    return Profile(
        **{**place, "starts": tuple(place["starts"])},
        name=size["name"],
        memory_bytes=_bytes(size["memory_gib"]),
        sm_count=size["sm_count"],
        copy_engines=copy_engines,
        decoders=decoders,
        encoders=encoders,
        jpegs=jpegs,
        ofas=ofas,
    )


def _bytes(printed_gib: float | None) -> int | None:
    if printed_gib is None:
        return None
    return round(printed_gib * GIB / MEMORY_STEP_BYTES) * MEMORY_STEP_BYTES
