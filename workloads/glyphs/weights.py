"""Finds and checks a file of weights, without torch: the conductor does this before anything is started."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bench.errors import InputError

SHIPPED = Path(__file__).with_name("weights.safetensors")

_HINT = "weights=shipped uses the project's own; scripts/train_glyphs.py trains others"

Shapes = dict[str, tuple[str, tuple[int, ...]]]
"""Type and shape of each tensor by its name."""


def locate(weights: str) -> Path:
    """The file that the option `weights` means."""
    path = SHIPPED if weights == "shipped" else Path(weights)
    if not path.is_file():
        raise InputError("the glyphs weights are not there", where=str(path), hint=_HINT)
    return path


def checked_sha256(path: Path) -> str:
    """SHA-256 of the file, once its tensors are known to fit the network: those of the shipped file do."""
    shapes = _shapes(path)
    expected = shapes if path == SHIPPED else _shapes(SHIPPED)
    names = sorted(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
    if names:
        name = names[0]
        what = f"the glyphs weights do not fit the network: {name} is {_words(shapes, name)}"
        raise InputError(f"{what}, not {_words(expected, name)}", where=str(path), hint=_HINT)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _words(shapes: Shapes, name: str) -> str:
    if name not in shapes:
        return "absent"
    kind, shape = shapes[name]
    return f"{kind}[{', '.join(map(str, shape))}]"


def _shapes(path: Path) -> Shapes:
    """Reads a safetensors header: eight bytes with its length, then JSON; then come the tensors, gapless."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        shapes = {name: (str(entry["dtype"]), tuple(entry["shape"])) for name, entry in header.items()}
        end = max(entry["data_offsets"][1] for entry in header.values())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError("the glyphs weights are not a safetensors file", where=str(path), hint=_HINT) from error
    if len(content) != 8 + length + end:
        raise InputError("the glyphs weights are cut off or have bytes too many", where=str(path), hint=_HINT)
    return shapes
