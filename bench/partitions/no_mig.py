"""Why a GPU cannot be divided by MIG at all."""

from __future__ import annotations

from bench.contract import Gpu


def no_mig(gpu: Gpu) -> str | None:
    """In words that name what is possible instead; None where MIG is possible."""
    if gpu.virtualization == "vgpu":
        return f"this is a vGPU guest ({gpu.product}): only its host can divide the GPU; time_shared is possible here"
    if not gpu.profiles:
        return f"{gpu.product} has no MIG: time_shared, mps and green_context are possible instead"
    return None
