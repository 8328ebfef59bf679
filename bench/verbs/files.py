"""What a verb leaves in a folder that the user names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bench.errors import StoreError


def file_stem(folder: Path) -> str:
    """A run's name, as far as it can be part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", folder.resolve().name).lstrip(".-")[:150] or "report"


def write(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """All under temporary names first, then renamed: whoever reads meanwhile sees whole files, old or new. Raises
    StoreError; what it had written is then taken back."""
    temporary = {name: folder / f".{name}.{os.getpid()}.tmp" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            # A lone surrogate that a record smuggled in cannot be encoded: it becomes a question mark.
            encoded = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
            temporary[name].write_bytes(encoded)
        for name, path in temporary.items():
            path.replace(folder / name)
    except OSError as error:
        for path in temporary.values():
            with suppress(OSError):
                path.unlink()
        raise StoreError(
            f"cannot write {', '.join(contents)}: {os.strerror(error.errno) if error.errno else error}",
            where=str(folder),
            hint="free some space, or name a place that you may write to",
        ) from error
