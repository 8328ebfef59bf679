"""(tenant, builder) Whether what was imported is the version that was asked for: otherwise a version would be compared
with itself, and nobody would see it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "BENCH_VERSION"


@dataclass(frozen=True)
class Expected:
    """words: what users call the version. root: the folder that it lies in; None: it is the interpreter, which is what
    runs. instead_of: the folder whose modules it stands for; None: none in particular."""

    words: str
    root: str | None = None
    instead_of: str | None = None

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


class OtherVersion(Exception):
    """Something else was imported; the message says what."""


def check_version() -> str | None:
    """What users call the version that this process was started for; None where it is none in particular. Raises
    OtherVersion."""
    told = os.environ.get(VARIABLE)
    if told is None:
        return None
    expected = Expected(**json.loads(told))
    if expected.root is None:
        return expected.words
    root = Path(expected.root)
    imported = list(_imported())
    if not any(file.is_relative_to(root) for _, file in imported):
        raise OtherVersion(
            f"nothing of {expected.words} was imported: what this workload runs is not found there on the import path"
        )
    if expected.instead_of:
        checkout = Path(expected.instead_of)
        for name, file in imported:
            if file.is_relative_to(checkout) and not file.is_relative_to(root) and not _installed(file):
                raise OtherVersion(f"{name} was imported from {checkout} as it is now, and not from {expected.words}")
    return expected.words


def _imported() -> Iterator[tuple[str, Path]]:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # Python imports from absolute paths; torch gives modules that it makes up names such as "_ops.py".
        if isinstance(file, str) and Path(file).is_absolute():
            yield name, Path(file).resolve()


def _installed(file: Path) -> bool:
    """In an environment's own folder, which may lie inside the repository."""
    return "site-packages" in file.parts or "dist-packages" in file.parts or file.is_relative_to(sys.prefix)
