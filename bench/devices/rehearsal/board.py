"""From a configured rehearsal to the address of its GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.contract import GpuAddress
from bench.devices import catalog
from bench.devices.rehearsal import state
from bench.devices.state_folder import state_folder


def board(model: str, path: str | None, faults: dict[str, Any] | None) -> GpuAddress:
    """The rehearsed GPU of a catalog model. Its state is made when it is not there yet, and otherwise kept as it is, as
    a driver's would be. Raises ConfigError for a model or a fault that does not exist."""
    known = catalog.model(model)
    file = Path(path).expanduser().absolute() if path else state_folder("rehearsal") / f"{known.name}.json"
    faults = faults or {}  # a fault lasts as long as the configuration names it
    state.create(file, known.name, faults=faults)
    if "lost_at_call" not in faults and state.read(file).lost:
        state.reset(file)
    return GpuAddress(state.read(file).uuid, str(file))
