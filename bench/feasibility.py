"""Why something cannot run on a device, as the conductor sees it: nothing heavy is imported to find out.

A rehearsed GPU is judged like the real one where age is concerned: who rehearses learns what will run there."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable
from importlib import metadata

from bench.device import Device

WITHOUT_CUDA = ("cpu", "rocm", "xpu")
"""How the local part of the version of a torch without CUDA begins ("2.13.0+cpu")."""
DISTRIBUTIONS = {"modelopt": "nvidia-modelopt", "torch_pruning": "torch-pruning"}
"""What is installed under another name than it is imported by."""
C_COMPILERS = ("gcc", "clang")
"""That Triton looks for, where CC names none (triton/runtime/build.py); a `cc` it does not try."""


def importable(name: str) -> bool:
    """Whether a module can be found, without importing it."""
    return importlib.util.find_spec(name) is not None


def missing(names: Iterable[str], what: str) -> str | None:
    """That `what` needs those of the modules `names` that are not installed; None if all are."""
    absent = [DISTRIBUTIONS.get(name, name) for name in sorted(set(names)) if not importable(name)]
    if not absent:
        return None
    return f"{what} needs {', '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed"


def torch_infeasible(device: Device) -> str | None:
    """Why the installed torch, which is not imported, cannot execute on this device; None if it can or is missing."""
    if device.executes_on == "cpu":
        return None
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None
    if version.partition("+")[2].startswith(WITHOUT_CUDA):
        return f"the installed torch {version} has no CUDA"
    return None


def older_than(device: Device, capability: tuple[int, int], what: str) -> str | None:
    """That the GPU, a rehearsed one as well, is older than compute capability `capability`, which `what` needs; None
    if it is not, or does not tell its own, or the device is a CPU."""
    has = device.gpu.compute_capability if device.gpu else None
    if has is None or has >= capability:
        return None
    wanted, found = (".".join(map(str, pair)) for pair in (capability, has))
    return f"{what} needs compute capability {wanted}, and {device.name} has {found}"


def needs_cuda(device: Device, capability: tuple[int, int] = (0, 0), what: str = "this") -> str | None:
    """Why `what` cannot run here: no GPU, one older than compute capability `capability`, one that tenants do not
    execute on, or a torch without CUDA; None if it can."""
    if device.kind == "cpu":
        return f"{what} needs an NVIDIA GPU, and this device is a CPU"
    if reason := older_than(device, capability, what):
        return reason
    if device.rehearsal:
        return f"{what} executes on a GPU, and this one is only rehearsed"
    return torch_infeasible(device)


def needs_c_compiler(what: str) -> str | None:
    """That no C compiler is found, which `what` needs when it first runs; None if one is."""
    if os.environ.get("CC") or any(map(shutil.which, C_COMPILERS)):
        return None
    return f"{what} needs a C compiler: neither gcc nor clang is found, and CC names none"
