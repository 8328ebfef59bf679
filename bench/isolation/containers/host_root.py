"""A container's root without any registry: an image of a few directories and symlinks, over which the host's /usr, the
interpreter, its environment and bench are bound, read-only, under the names that they have on the host."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
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


MOUNTS = Path("/proc/self/mountinfo")
ESCAPED = re.compile(rb"\\([0-7]{3})")


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
    return [path for path in named if is_there(path)]


def is_there(path: Path) -> bool:
    """As far as this user may look."""
    try:
        return path.exists()
    except OSError:  # from Python 3.12 on it says so itself
        return False


def too_much(paths: Iterable[Path]) -> str | None:
    """Why these may not all be bound: a typing error, or an empty variable in a path, must not show everything."""
    home = Path("~").expanduser().resolve()
    wide = [path for path in paths if home.is_relative_to(path.resolve())]
    return f"{wide[0]} would show tenants the whole home folder {home}: name folders within it" if wide else None


def binds(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """(source, target) by which every path that exists is reachable under its own name and under its real one; what is
    mounted below a folder follows it, as being read-only does not reach through a mount."""
    mounts = _mount_points()
    return [
        (source / inner, target / inner)
        for source, target in _folders(paths)
        for inner in (Path(), *(path.relative_to(source) for path in mounts if source in path.parents))
    ]


def _mount_points() -> list[Path]:
    """Those that can be reached, outermost first."""
    names = {line.split()[4] for line in MOUNTS.read_bytes().splitlines()}
    found = {os.fsdecode(ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), name)) for name in names}
    return sorted(filter(is_there, map(Path, found)))


def _folders(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    present = [Path(os.path.normpath(path.absolute())) for path in paths if is_there(path)]
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
