"""Where a transformers model's weights come from: a seed, a local folder, or the Hugging Face hub.

The conductor identifies them without transformers: it reads `config.json`, checks that the weights are
safetensors (which, unlike pickles, run nothing when they are read) and takes their SHA-256, or the commit of
the hub's revision.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import InputError
from workloads.files import sha256

HUB = "hub:"
WHERE = "workload.weights"
FORMS = "weights=random, weights=hub:ORGANISATION/MODEL, or weights=/a/folder that save_pretrained wrote"


@dataclass(frozen=True)
class Checkpoint:
    """Weights that exist: the arguments of `from_pretrained`, the model's configuration, the identity."""

    name: str
    revision: str | None
    config: Mapping[str, Any]
    files: tuple[Path, ...] = ()

    def identity(self) -> Mapping[str, Any]:
        """The commit on the hub, or the files' content (which takes a second or so to read)."""
        if self.revision:
            return {"hub": self.name, "commit": self.revision}
        return {path.name: sha256(path) for path in self.files}


def find(weights: str, revision: str) -> Checkpoint | None:
    """The checkpoint that `weights` names; None for random weights."""
    if weights == "random":
        return None
    return _on_hub(weights.removeprefix(HUB), revision) if weights.startswith(HUB) else _in_folder(weights)


def _in_folder(weights: str) -> Checkpoint:
    folder = Path(weights).expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", where=WHERE, hint=FORMS)
    config = _read_config(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        others = [path.name for path in folder.glob("*.bin")]
        raise InputError(
            f"there is no .safetensors file in {folder}",
            where=WHERE,
            hint=f"{'convert ' + others[0] + ': load it and ' if others else ''}save the model with "
            "save_pretrained, which writes safetensors",
        )
    for path in files:
        _check_header(path)
    return Checkpoint(str(folder), None, config, (folder / "config.json", *files))


@functools.cache
def _on_hub(name: str, revision: str) -> Checkpoint:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where = f"{WHERE}={HUB}{name}"
    try:
        path = Path(hf_hub_download(name, "config.json", revision=revision))
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{name} at revision {revision} is not in the local cache, and the hub cannot be reached",
            where=where,
            hint="go online (HF_HUB_OFFLINE must be unset), fetch it elsewhere and set HF_HOME to that "
            "cache, or use weights=random",
        ) from error
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f"{name} at revision {revision} cannot be read from the hub: {str(error).splitlines()[0]}",
            where=where,
            hint="check the name, the revision, and that you may read it (hf auth login)",
        ) from error
    # The cache keeps each file under its commit: a revision such as "main" moves, its commit does not.
    commit = path.parent.name
    return Checkpoint(name, commit, _read_config(path))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no config.json in {path.parent}", where=WHERE, hint=FORMS) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", where=WHERE, hint=FORMS) from error
    if not isinstance(config, dict):
        raise InputError(f"{path} is not a model's configuration", where=WHERE, hint=FORMS)
    return config


def _check_header(path: Path) -> None:
    """A safetensors file begins with the length of its header (8 bytes, little-endian) and the header in
    JSON; the tensors fill the rest exactly."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            size = path.stat().st_size
            header = json.loads(stream.read(length)) if 0 < length <= size - 8 else None
        ends = [entry["data_offsets"][1] for name, entry in (header or {}).items() if name != "__metadata__"]
        whole = header is not None and size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"{path} is not a whole safetensors file", where=WHERE, hint="copy or download it again")
