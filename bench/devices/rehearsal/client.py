"""A tenant of a rehearsed GPU is known to that driver while it lives, as a process with a CUDA context would be."""

from __future__ import annotations

import os
from pathlib import Path

DRIVER = "BENCH_REHEARSED_DRIVER"
"""State file of the rehearsed driver, in a tenant's environment."""


def attach_from_environment() -> None:
    """Be a client of the device that CUDA_VISIBLE_DEVICES names, where that is a rehearsed one."""
    if driver := os.environ.get(DRIVER):
        from bench.devices.rehearsal import state

        mps = "CUDA_MPS_PIPE_DIRECTORY" in os.environ
        state.attach(Path(driver), os.environ["CUDA_VISIBLE_DEVICES"], mps=mps)
