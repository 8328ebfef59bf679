"""Files that a user named: found or refused with a hint, and identified by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from bench.errors import InputError


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def all_of(paths: Iterable[Path]) -> str:
    """Hexadecimal SHA-256 over the names and contents of files, shortened: one of many that are compared, not kept."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{sha256(path)}\0".encode())
    return digest.hexdigest()[:16]


def existing(path: str, option: str) -> Path:
    """The file at `path`, absolute; an `InputError` that names the option if it cannot be read."""
    found = Path(path).expanduser().absolute()
    if not found.is_file():
        what = "is a folder, not a file" if found.is_dir() else "does not exist"
        raise InputError(f"{found} {what}", where=option, hint=f"give the path of a file: {option}=/path/to/file")
    try:
        found.open("rb").close()
    except OSError as error:
        raise InputError(
            f"{found} cannot be read: {error.strerror}", where=option, hint="check its permissions"
        ) from error
    return found
