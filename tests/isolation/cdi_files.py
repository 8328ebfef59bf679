"""CDI specifications as nvidia-ctk writes them (by hand, from its documentation and tests: no GPU was asked), and the
driver's /proc that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GPU = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"
SLICE = "MIG-3ba4a9e5-8b4d-5f0e-9a0e-6f5f1d3f1d11"
OTHER_SLICE = "MIG-5c89852c-d268-5f9c-8a2e-3a1f0f4c2a22"
HOOK = {
    "hookName": "createContainer",
    "path": "/usr/bin/nvidia-cdi-hook",
    "args": ["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib/x86_64-linux-gnu"],
    "env": ["NVIDIA_CTK_DEBUG=false"],
}
YAML = """\
---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
    - name: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c
      containerEdits:
        deviceNodes:
            - path: /dev/nvidia0
            - path: /dev/dri/card1
            - path: /dev/dri/renderD128
        hooks:
            - hookName: createContainer
              path: /usr/bin/nvidia-cdi-hook
              args: [nvidia-cdi-hook, create-symlinks, --link, "../card1::/dev/dri/by-path/pci-0000:07:00.0-card"]
    - name: MIG-3ba4a9e5-8b4d-5f0e-9a0e-6f5f1d3f1d11
      containerEdits:
        deviceNodes:
            - path: /dev/nvidia1
            - path: /dev/nvidia-caps/nvidia-cap156
            - path: /dev/nvidia-caps/nvidia-cap157
    - name: all
      containerEdits:
        deviceNodes:
            - path: /dev/nvidia0
            - path: /dev/nvidia1
containerEdits:
    env:
        - NVIDIA_VISIBLE_DEVICES=void
    deviceNodes:
        - path: /dev/nvidia-uvm
        - path: /dev/nvidia-uvm-tools
        - path: /dev/nvidiactl
    hooks:
        - hookName: createContainer
          path: /usr/bin/nvidia-cdi-hook
          args: [nvidia-cdi-hook, update-ldcache, --folder, /usr/lib/x86_64-linux-gnu]
          env: [NVIDIA_CTK_DEBUG=false]
    mounts:
        - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.610.43.02
          containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.610.43.02
          options: [ro, nosuid, nodev, rbind, rprivate]
"""


class Machine:
    """GPUs and their MIG instances below a folder, which stands for the root of a driver in a container's image."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = root / "proc/driver/nvidia"
        self.library = self.file("usr/lib/libcuda.so.610.43.02")

    def file(self, path: str, content: str = "") -> Path:
        made = self.root / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(content)
        return made

    def gpu(self, minor: int, uuid: str) -> None:
        told = (
            f"Model: \t\t NVIDIA A100\nGPU UUID: \t {uuid}\nBus Location: \t 0000:07:00.0\nDevice Minor: \t {minor}\n"
        )
        self.file(f"proc/driver/nvidia/gpus/0000:0{minor}:00.0/information", told)

    def instance(self, gpu: int, gpu_instance: int, cap: int, compute: Mapping[int, int]) -> None:
        """A GPU instance with the capability `cap`, and those of its compute instances by their numbers."""
        folder = f"proc/driver/nvidia/capabilities/gpu{gpu}/mig/gi{gpu_instance}"
        self.file(f"{folder}/access", access(cap))
        for number, minor in compute.items():
            self.file(f"{folder}/ci{number}/access", access(minor))

    def node(self, path: str) -> dict[str, str]:
        return {"path": path, "hostPath": str(self.file(path.lstrip("/")))}

    def device(self, name: str, gpu: int, caps: Sequence[int] = ()) -> dict[str, Any]:
        paths = [f"/dev/nvidia{gpu}", *(f"/dev/nvidia-caps/nvidia-cap{cap}" for cap in caps)]
        return {"name": name, "containerEdits": {"deviceNodes": [self.node(path) for path in paths]}}

    def specification(self, *devices: dict[str, Any], kind: str = "nvidia.com/gpu") -> dict[str, Any]:
        return {
            "cdiVersion": "0.5.0",
            "kind": kind,
            "devices": list(devices),
            "containerEdits": {
                "env": ["NVIDIA_VISIBLE_DEVICES=void"],
                "deviceNodes": [self.node("/dev/nvidiactl")],
                "mounts": [{"hostPath": str(self.library), "containerPath": "/usr/lib/libcuda.so.610.43.02"}],
                "hooks": [HOOK],
            },
        }


def access(minor: int) -> str:
    return f"DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n"


def write(folder: Path, name: str, content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
