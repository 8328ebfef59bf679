"""A base image without any registry: this machine's Python, the libraries that it and wheels need, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SKIPPED = {"__pycache__", "site-packages", "dist-packages", "test", "idlelib", "turtledemo", "lib2to3"}
NEEDED_BY_WHEELS = (
    *("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libm.so.6"),
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
)
"""Of what every Linux has, as the policies of wheels put it."""
DEBIAN_WHEELS = Path("/usr/share/python-wheels")
"""Where Debian's ensurepip finds pip."""


def write_base(file: IO[bytes]) -> None:
    """As a tar of a root file system, in which `python3` is on the path and can make environments with pip."""
    interpreter = Path(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined]
    folder = Path(sysconfig.get_path("stdlib"))
    paths = {interpreter, *_files(folder), *_files(DEBIAN_WHEELS)}
    libraries = {path for path in paths if ".so" in path.name} | {interpreter}
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("tmp", "proc", "sys", "dev", "etc", "run", "root"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, {"tmp": 0o1777, "root": 0o700}.get(name, 0o755)
            tar.addfile(entry)
        for path in sorted(paths | _linked(libraries)):
            tar.add(path.resolve(), arcname=str(path).lstrip("/"), recursive=False, filter=_readable)
        if interpreter != Path("/usr/bin/python3"):
            link = tarfile.TarInfo("usr/bin/python3")
            link.type, link.linkname = tarfile.SYMTYPE, str(interpreter)
            tar.addfile(link)


def _files(folder: Path) -> Iterator[Path]:
    for inner, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        yield from (path for name in names if (path := Path(inner, name)).is_file())


def _linked(objects: set[Path]) -> set[Path]:
    """Shared objects that those load, by the names they are looked for."""
    told = subprocess.run(["ldd", *map(str, objects)], capture_output=True, text=True, check=False).stdout
    words = [line.split() for line in told.splitlines()]
    found = {Path(line[line.index("=>") + 1]) for line in words if "=>" in line and "not" not in line}
    loader = {Path(line[0]) for line in words if line and line[0].startswith("/") and len(line) == 2}
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    wanted = [line.split() for line in cache.splitlines() if line.split()[:1] and line.split()[0] in NEEDED_BY_WHEELS]
    return found | loader | {Path(line[-1]) for line in wanted if "x86-64" in line[1] or "AArch64" in line[1]}


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """By everybody, whoever they belong to here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry
