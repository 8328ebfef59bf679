"""What containers of this machine are made with: engines, runtimes, NVIDIA's toolkit, CDI specifications, cgroups."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.devices.cdi_specification import DIRECTORIES, read_files

PROGRAMS = {
    "podman": "podman",
    "docker": "docker",
    "dockerd": "dockerd",
    "runc": "runc",
    "crun": "crun",
    "conmon": "conmon",
    "nvidia_container_toolkit": "nvidia-ctk",
    "nvidia_container_runtime": "nvidia-container-runtime",
}
"""By our names for them. All of them know `--version`; docker is the client, and dockerd may be elsewhere."""
VERSION = re.compile(r"\b\d+\.\d+[^\s,]*")
LIMIT_S = 10.0
CGROUPS = Path("/sys/fs/cgroup")

Ask = Callable[[str], str | None]


def container_stack(
    ask: Ask | None = None, directories: Sequence[Path] = DIRECTORIES, cgroups: Path = CGROUPS
) -> dict[str, Any]:
    """JSON-serialisable; what is not installed is None. `ask` gives what a program says of its version."""
    ask = ask or _said
    return {
        **{name: _version(ask(program)) for name, program in PROGRAMS.items()},
        "cgroup": _cgroup(cgroups),
        "cdi": [
            {
                "path": str(file.path),
                "sha256": file.sha256 or None,
                "kind": file.specification.kind if file.specification else None,
                "version": file.specification.version if file.specification else None,
                "devices": len(file.specification.devices) if file.specification else None,
                "fault": file.fault or None,
            }
            for file in read_files(directories)
        ],
    }


def words(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    installed = [f"{program} {found[name]}" for name, program in PROGRAMS.items() if found[name]]
    cgroup = f"cgroup {found['cgroup']}" if found["cgroup"] else "no cgroups"
    lines = [f"containers {', '.join([*(installed or ['no engine is installed']), cgroup])}"]
    for file in found["cdi"]:
        told = file["fault"] or f"{file['devices']} x {file['kind']}, CDI {file['version']}"
        lines.append(f"           {file['path']}: {told}")
    return lines


def _said(program: str) -> str | None:
    path = shutil.which(program)
    if path is None:
        return None
    try:
        return subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _version(said: str | None) -> str | None:
    """ "podman version 4.3.1" and the like; of one that is installed and does not say it, "unknown"."""
    if said is None:
        return None
    match = VERSION.search(said.partition("\n")[0])
    return match[0] if match else "unknown"


def _cgroup(root: Path) -> str | None:
    """v1, v2, or hybrid: v1 with a v2 beside it that has no controllers of its own."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    if (root / "unified" / "cgroup.controllers").exists():
        return "hybrid"
    return "v1" if any(root.glob("*/cgroup.procs")) else None
