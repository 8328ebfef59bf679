"""A container's root without any registry: an image of a few directories and symlinks, over which the host's /usr, the
interpreter, its environment and bench are bound, read-only, under the names that they have on the host."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

DIRECTORIES = ("dev", "etc", "proc", "run", "sys", "tmp", "usr", "var")
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""Links into /usr on most distributions, directories on others."""
OF_HOST = ("/usr", "/etc/ld.so.cache", "/etc/alternatives")
PACKAGES = ("bench", "workloads")
"""Beside the environment, where they are installed to be edited."""
PASSWD = "root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/tmp:/bin/false\n"


def skeleton() -> tuple[str, bytes]:
    """(tag, tar): the same for hosts that are alike."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in DIRECTORIES:
            # A runtime gives what it mounts over a folder the mode of that folder, whatever is asked for.
            tar.addfile(_entry(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755))
        for name in MERGED:
            path = Path("/") / name
            if path.is_symlink():
                link = _entry(name, tarfile.SYMTYPE, 0o777)
                link.linkname = str(path.readlink())
                tar.addfile(link)
        passwd = _entry("etc/passwd", tarfile.REGTYPE, 0o644)
        passwd.size = len(PASSWD)
        tar.addfile(passwd, io.BytesIO(PASSWD.encode()))
    content = buffer.getvalue()
    return f"host-root-{hashlib.sha256(content).hexdigest()[:12]}", content


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def of_host() -> list[Path]:
    """What tenants need of the host to run this interpreter, with what is installed for it and this bench."""
    merged = [path for name in MERGED if (path := Path("/") / name).is_dir() and not path.is_symlink()]
    found = [importlib.util.find_spec(package) for package in PACKAGES]
    packages = [Path(spec.origin).parent for spec in found if spec and spec.origin]
    python = [Path(sys.base_prefix), Path(sys.prefix), *_hops(Path(sys.executable))]
    return [*map(Path, OF_HOST), *merged, *python, *packages]


def _hops(path: Path) -> Iterator[Path]:
    """A file and all that its links lead through: the interpreter of a virtual environment is found by such a chain."""
    for _ in range(40):
        yield path
        if not path.is_symlink():
            return
        path = Path(os.path.normpath(path.parent / path.readlink()))


def python_path() -> list[Path]:
    """Entries of PYTHONPATH that are there."""
    named = [Path(part).absolute() for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return [path for path in named if path.exists()]


def binds(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """(source, target) by which every path that exists is reachable under its own name and under its real one."""
    present = [Path(os.path.normpath(path.absolute())) for path in paths if path.exists()]
    real = _outermost({path.resolve() for path in present})
    aliases = [path for path in _outermost(set(present)) if not _within(path, real)]
    return [(path, path) for path in real] + [(path.resolve(), path) for path in aliases]


def _outermost(paths: set[Path]) -> list[Path]:
    found: list[Path] = []
    for path in sorted(paths):
        if not _within(path, found):
            found.append(path)
    return found


def _within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
