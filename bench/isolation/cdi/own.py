"""CDI specifications that bench makes for a run: of a kind that only this run uses, removed when it ends, and found and
removed by the next one where it was killed. No file of anybody else is touched.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import StartFailed
from bench.isolation.containers.owner import Owner

PREFIX = "bench_"
GENERATE_LIMIT_S = 60.0
NVIDIA_VENDOR = "nvidia.bench"
GENERATE = ("nvidia-ctk", "cdi", "generate", "--device-name-strategy=uuid")
"""Of nvidia-container-toolkit, whose source has these options, and --output, --format, --vendor and --class."""


@dataclass(frozen=True)
class OwnSpecifications:
    """Of one run, in a folder where its engine looks."""

    folder: Path
    owner: Owner

    def kind(self, vendor: str) -> str:
        """Engines know none of two devices with one name, so runs side by side must not share a kind."""
        return f"{vendor}/{self._class}"

    @property
    def _class(self) -> str:
        return f"gpu-{self.owner.pid}-{self.owner.start_ticks}"

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Make it say this now. Raises StartFailed."""
        path = self._path(name)
        text = json.dumps(content, indent=1)
        try:
            if not path.exists() or path.read_text() != text:
                self.folder.mkdir(parents=True, exist_ok=True)
                path.write_text(text)  # in place: engines that watch the folder hear of that, and not of every rename
        except OSError as error:
            raise StartFailed(
                f"its GPU is described to containers in {self.folder}, which cannot be written: {error.strerror}"
            ) from error

    def generate(self) -> None:
        """Describe the NVIDIA GPUs as they are now. Raises StartFailed."""
        path = self._path("nvidia")
        options = [f"--output={path}", "--format=json", f"--vendor={NVIDIA_VENDOR}", f"--class={self._class}"]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            subprocess.run([*GENERATE, *options], check=True, capture_output=True, text=True, timeout=GENERATE_LIMIT_S)
        except FileNotFoundError as error:
            raise StartFailed(
                "regenerate_cdi needs nvidia-ctk (nvidia-container-toolkit), which is not here"
            ) from error
        except (OSError, subprocess.SubprocessError) as error:
            told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise StartFailed(
                f"nvidia-ctk cannot describe the GPUs: {told[-1] if told else 'it does not say why'}"
            ) from error

    def remove(self) -> None:
        for path in self.folder.glob(f"{PREFIX}{self.owner}_*.json"):
            with suppress(OSError):  # the next run finds it
                path.unlink()

    def _path(self, name: str) -> Path:
        return self.folder / f"{PREFIX}{self.owner}_{name}.json"


def remove_dead(folders: Sequence[Path]) -> None:
    """Remove what runs left that are gone, on this boot or an earlier one."""
    for path in (path for folder in folders for path in folder.glob(f"{PREFIX}*_*.json")):
        owner = Owner.parse(path.name.removeprefix(PREFIX).partition("_")[0])
        if owner and (owner.dead or not owner.on_this_boot):
            with suppress(OSError):
                path.unlink()
