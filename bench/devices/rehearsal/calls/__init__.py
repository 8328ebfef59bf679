"""The C functions of the rehearsed NVML. A function has the name and the arguments of its symbol, after the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.devices.rehearsal.calls import (
    compute_instances,
    device,
    fields,
    gpm,
    gpu_instances,
    library,
    mig_devices,
    mode,
    processes,
    sensors,
)

Call = Callable[..., Any]

EXPORTS: dict[str, Call] = {
    name: function
    for module in (
        library, device, sensors, fields, processes, gpm, mode, gpu_instances, compute_instances, mig_devices
    )
    for name, function in vars(module).items()
    if name.startswith("nvml")
}  # fmt: skip
"""By symbol. NVML has some 300 more, which are not rehearsed: there they are as symbols that a driver lacks."""
