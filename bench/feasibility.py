"""Why what needs a GPU cannot run on a device, as the conductor sees it: nothing heavy is imported to find out."""

from __future__ import annotations

from importlib import metadata

from bench.device import Device

WITHOUT_CUDA = ("cpu", "rocm", "xpu")
"""How the local part of the version of a torch without CUDA begins ("2.13.0+cpu")."""


def torch_infeasible(device: Device) -> str | None:
    """Why the installed torch cannot execute on this device; None if it can. It is not imported."""
    if device.executes_on == "cpu":
        return None
    version = metadata.version("torch")
    if version.partition("+")[2].startswith(WITHOUT_CUDA):
        return f"the installed torch {version} has no CUDA"
    return None


def needs_cuda(device: Device, capability: tuple[int, int] = (0, 0), what: str = "this") -> str | None:
    """Why `what` cannot run here: no GPU that tenants execute on, one older than compute capability
    `capability`, or a torch without CUDA; None if it can."""
    if device.rehearsal:
        return f"{what} executes on a GPU, and this one is only rehearsed"
    if device.executes_on == "cpu":
        return f"{what} needs an NVIDIA GPU, and this device is a CPU"
    has = device.gpu.compute_capability if device.gpu else None
    if has is not None and has < capability:
        wanted, found = (".".join(map(str, pair)) for pair in (capability, has))
        return f"{what} needs compute capability {wanted}, and {device.name} has {found}"
    return torch_infeasible(device)
