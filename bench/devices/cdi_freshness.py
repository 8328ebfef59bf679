"""Whether a CDI specification describes the GPUs of this machine as they are now.

Specifications are made once and layouts change. UUIDs do not tell: a MIG device of the same profile in the same place
has the same UUID again, while the driver's numbers, and with them its device nodes, may be others. So what is compared
is the content: the nodes of the specification with what the driver says of the instance in /proc.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bench.devices.cdi_specification import Described, Edits
from bench.devices.nvml import MIG_PREFIX

PROC = Path("/proc/driver/nvidia")
GPU_NODE = re.compile(r".*/dev/nvidia(\d+)")
CAP_NODE = re.compile(r".*/dev/nvidia-caps/nvidia-cap(\d+)")


def outdated(described: Described, uuid: str, gpu_instance: int | None, proc: Path = PROC) -> str | None:
    """Why that description of a GPU or MIG device is not of the present; None if it is, as far as the driver tells."""
    if uuid.startswith(MIG_PREFIX):
        reason = _outdated_slice(described.own, gpu_instance, proc)
    else:
        reason = _outdated_gpu(described.own, uuid, proc)
    return reason or _vanished(described.edits)


def nodes_of(uuid: str, gpu_instance: int | None, proc: Path = PROC) -> list[str]:
    """Device nodes that are this GPU's or MIG device's own; [] where the driver does not tell, or where several GPUs
    have such an instance."""
    if not uuid.startswith(MIG_PREFIX):
        return [f"/dev/nvidia{minor}" for told, minor in _gpus(proc) if told == uuid][:1]
    folders = list(proc.glob(f"capabilities/gpu*/mig/gi{gpu_instance}"))
    if len(folders) != 1:
        return []
    (folder,) = folders
    caps = [_minor(path) for path in (folder / "access", *folder.glob("ci*/access"))]
    if len(caps) != 2 or None in caps:
        return []
    gpu = folder.parent.parent.name.removeprefix("gpu")
    return [f"/dev/nvidia{gpu}", *(f"/dev/nvidia-caps/nvidia-cap{cap}" for cap in caps)]


def _outdated_slice(edits: Edits, gpu_instance: int | None, proc: Path) -> str | None:
    gpus, caps = _numbers(edits, GPU_NODE), _numbers(edits, CAP_NODE)
    if len(gpus) != 1 or not caps:
        return "its device nodes are not those of one MIG device"
    (gpu,) = gpus
    folder = proc / f"capabilities/gpu{gpu}/mig/gi{gpu_instance}"
    instance = _minor(folder / "access")
    if instance is None:
        return f"the driver has no GPU instance {gpu_instance} on /dev/nvidia{gpu} now"
    inner = {minor for path in folder.glob("ci*/access") if (minor := _minor(path)) is not None}
    if instance not in caps or len(caps) != 2 or not caps - {instance} <= inner:
        now = ", ".join(f"nvidia-cap{minor}" for minor in sorted({instance, *inner}))
        told = ", ".join(f"nvidia-cap{minor}" for minor in sorted(caps))
        return f"it names {told}, and GPU instance {gpu_instance} has {now} now"
    return None


def _outdated_gpu(edits: Edits, uuid: str, proc: Path) -> str | None:
    gpus = _numbers(edits, GPU_NODE)
    if len(gpus) != 1:
        return "its device nodes are not those of one GPU"
    minor = next((minor for told, minor in _gpus(proc) if told == uuid), None)
    if minor is not None and minor not in gpus:
        return f"it names /dev/nvidia{next(iter(gpus))}, and this GPU is /dev/nvidia{minor} now"
    return None


def _vanished(edits: Edits) -> str | None:
    """A driver that was updated leaves libraries of another version than those that are named."""
    paths = [*(node.on_host for node in edits.nodes), *(mount.host_path for mount in edits.mounts)]
    gone = [path for path in paths if _is_gone(Path(path))]
    if not gone:
        return None
    return f"it names {gone[0]}, which is not there" + (f" (nor are {len(gone) - 1} others)" if gone[1:] else "")


def _is_gone(path: Path) -> bool:
    """For certain: what lies where this user may not look is the engine's to find."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _numbers(edits: Edits, pattern: re.Pattern[str]) -> set[int]:
    return {int(match[1]) for node in edits.nodes if (match := pattern.fullmatch(node.on_host))}


def _minor(access: Path) -> int | None:
    """ "DeviceFileMinor: 21" of a capability's file."""
    value = _fields(access).get("DeviceFileMinor", "")
    return int(value) if value.isdecimal() else None


def _gpus(proc: Path) -> Iterable[tuple[str, int]]:
    """(UUID, minor) of those whose driver tells both."""
    for path in sorted(proc.glob("gpus/*/information")):
        fields = _fields(path)
        if (minor := fields.get("Device Minor", "")).isdecimal():
            yield fields.get("GPU UUID", ""), int(minor)


def _fields(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
