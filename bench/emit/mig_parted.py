"""NVIDIA's mig-parted: the MIG layout, or that MIG is off."""

from __future__ import annotations

from itertools import combinations

import yaml

from bench.devices import catalog, geometry
from bench.devices.mig import parted
from bench.emit.divided import needs_gpu, profiles
from bench.emit.service import measured
from bench.emit.text import comment, documents
from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.deployment import Deployment

OFF = "all-disabled"
"""What the GPU operator labels nodes with that name no layout: its MIG manager fails there without it."""


def emit(deployment: Deployment) -> str:
    """Raises InfeasibleHere for what is no GPU, has no MIG, or has no room for the layout."""
    needs_gpu(deployment, "mig-parted")
    counts = profiles(deployment)
    _fits(deployment)
    name = label(deployment)
    scope = "every GPU of this model" if deployment.pci_device_id else "every GPU"
    notes = [
        f"Apply, while nothing uses the GPU: sudo nvidia-mig-parted apply -f FILE -c {name}",
        f"It holds for {scope} on the machine; for some of them write devices: [0].",
        f"MIG off again: {OFF} in place of {name}. To keep it over a reboot, and for Kubernetes: docs/deploy.md.",
    ]
    names = [profile for profile, count in counts.items() for _ in range(count)]
    tree = yaml.safe_load(parted.write(name, deployment.pci_device_id, bool(names), names))
    tree["mig-configs"][OFF] = [{"devices": "all", "mig-enabled": False}]
    return comment([*measured(deployment), *notes]) + documents([tree])


def label(deployment: Deployment) -> str:
    """Of the layout: it is the value of a node's label, too, so without + and at most 63 characters."""
    counts = profiles(deployment)
    parts = [f"{count}x{name}" if count > 1 else name for name, count in counts.items()]
    return "-".join(["bench", *(parts or ["mig-off"])]).replace("+", ".")


def _fits(deployment: Deployment) -> None:
    model = catalog.by_pci_device_id(deployment.pci_device_id) if deployment.pci_device_id else None
    wanted = deployment.instances
    if model is not None and not model.profiles:
        raise _no(deployment, f"{deployment.device} has no MIG: there is nothing to lay out", "--emit kubernetes")
    cells = [range(instance.start, instance.start + instance.size) for instance in wanted]
    if any(set(one) & set(other) for one, other in combinations(cells, 2)):
        raise _no(deployment, "the instances of this layout overlap", "measure it again: the run's plan is damaged")
    if model is None or not wanted:
        return
    try:
        placed = geometry.place(geometry.parse([i.profile for i in wanted], model.profiles))
    except ConfigError as error:
        raise _no(deployment, error.what, error.hint) from error
    if placed is None:
        raise _no(deployment, f"the layout does not fit on {deployment.device}", geometry.possible(model.profiles))


def _no(deployment: Deployment, what: str, hint: str) -> InfeasibleHere:
    return InfeasibleHere(what, where=f"partition {deployment.partition[:60]}", hint=hint)
