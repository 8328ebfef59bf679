"""(tenant, builder) Whether what was imported is the version that was asked for: otherwise a version would be compared
with itself, and nobody would see it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.isolation.process import VERSION as VARIABLE
from bench.printable import printable

MARK = "version.txt"
"""In an artifact: of which version its builder imported something."""
INSTRUMENT = ("bench", "workloads")
"""Of bench itself: what measures comes from where bench is, whatever is measured."""


@dataclass(frozen=True)
class Expected:
    """words: what users call the version. root: the folder that it lies in; None: it is all that an interpreter has
    installed. folders: those of the import path that belong to it: what they have comes from nowhere else."""

    words: str
    root: str | None = None
    folders: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


class OtherVersion(Exception):
    """Something else was imported; the message says what."""


def expected() -> Expected | None:
    """What this process was started for; None: no version in particular."""
    told = os.environ.get(VARIABLE)
    return Expected(**json.loads(told)) if told else None


def check_version(artifacts: Iterable[Path]) -> str | None:
    """(tenant) What users call the version that this process runs; None where it is none in particular. Raises
    OtherVersion.

    artifacts: folders of what it has loaded: a runtime that executes an exported model imports nothing of the project,
        and its builder has."""
    wanted = expected()
    if wanted is None:
        return None
    _check_imports(wanted)
    if wanted.root and not _imported_of(wanted) and not any(_marked(folder, wanted) for folder in artifacts):
        raise OtherVersion(
            f"nothing of {wanted.words} was imported: what this workload runs is not found there on the import path"
        )
    return wanted.words


def mark_version(artifact: Path) -> None:
    """(builder) Note in an artifact that it was built of the version, where something of that was imported. Raises
    OtherVersion."""
    wanted = expected()
    if wanted is None:
        return
    _check_imports(wanted)
    if _imported_of(wanted):
        (artifact / MARK).write_text(wanted.words)


def _check_imports(wanted: Expected) -> None:
    for name, file in _imported():
        if name not in INSTRUMENT and (where := _should_be(wanted, name, file)):
            raise OtherVersion(f"{name} was imported from {printable(str(file))}, and {wanted.words} has it in {where}")


def _imported_of(wanted: Expected) -> bool:
    return wanted.root is not None and any(_is_of(file, wanted.root) for _, file in _imported())


def _marked(folder: Path, wanted: Expected) -> bool:
    path = folder / MARK
    return path.is_file() and path.read_text() == wanted.words


def _should_be(wanted: Expected, name: str, file: Path) -> str | None:
    """The folder that a module should have come from, and did not; None: it came from where it should."""
    if wanted.root is None:  # installed there, and hidden by something that comes before on the import path
        installed = [Path(part) for part in sys.path if _is_installed(Path(part))]
        away = not _is_installed(file) and not file.is_relative_to(sys.base_prefix)
        return str(next((part for part in installed if _has(part, name)), "")) or None if away else None
    if _is_of(file, wanted.root):
        return None
    return next((part for part in wanted.folders if _has(Path(part), name)), None)


def _is_of(file: Path, root: str) -> bool:
    """Not what is installed in an environment that lies in it."""
    return file.is_relative_to(root) and not _is_installed(file)


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def _imported() -> Iterator[tuple[str, Path]]:
    """(top-level name, file) of every module."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # Python imports from absolute paths; torch gives modules that it makes up names such as "_ops.py".
        if isinstance(file, str) and Path(file).is_absolute():
            yield name.partition(".")[0], Path(file).resolve()


def _is_installed(path: Path) -> bool:
    return "site-packages" in path.parts or "dist-packages" in path.parts
