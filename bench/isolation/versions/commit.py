"""Tenants that run a revision of a git repository, beside those that run its working tree."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract import Isolation, Launcher, plugin
from bench.errors import InputError
from bench.git import GitFailed, git
from bench.isolation.versions.arrived import Expected
from bench.isolation.versions.launcher import VersionLauncher

SHORT = 12


@plugin
class Commit(Isolation):
    """Whatever the import path has of `repository` is imported as it was at `revision`. Configuration and the files
    that it names are the same for both; submodules, Git LFS and what has to be compiled are not there: for those build
    a wheel.
    """

    revision: str
    repository: Path = Path()
    base_of: str | None = "process"

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        checkout = top_level(self.repository)
        commit = resolve(checkout, self.revision)
        with tempfile.TemporaryDirectory(prefix="bench-version-") as folder:
            root = Path(folder).resolve()
            _extract(checkout, commit, root)
            yield VersionLauncher(
                expected=Expected(f"commit {commit[:SHORT]}", str(root), str(checkout)),
                told={"commit": commit},
                first=_counterparts(checkout, root),
                moved=lambda path: _moved(path, checkout, root),
            )


def top_level(folder: Path) -> Path:
    """The repository's root. Raises InputError."""
    return Path(_text(folder, "rev-parse", "--show-toplevel")).resolve()


def resolve(folder: Path, revision: str) -> str:
    """The full name of the commit that `revision` means now. Raises InputError."""
    return _text(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def _extract(checkout: Path, commit: str, root: Path) -> None:
    """An archive leaves the repository as it is, where a worktree would have to be taken out of its books again."""
    archive = _asked(checkout, "archive", "--format=tar", commit)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(root, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"commit {commit[:SHORT]} cannot be unpacked: {error}", where=str(root), hint="free some space in TMPDIR"
        ) from error


def _counterparts(checkout: Path, root: Path) -> tuple[str, ...]:
    """Of what this process has of the repository on its import path; where that is nothing that shows there (an
    installation in place that hooks into imports), of where packages usually lie."""
    path = [_moved(part, checkout, root) for part in sys.path if _inside(part, checkout)]
    usual = [str(folder) for folder in (root / "src", root) if folder.is_dir()]
    return tuple(dict.fromkeys(filter(None, path))) or tuple(usual)


def _moved(path: str, checkout: Path, root: Path) -> str:
    """The same folder in the revision, "" where that has none."""
    if not _inside(path, checkout):
        return path
    there = root / Path(path).resolve().relative_to(checkout)
    return str(there) if there.is_dir() else ""


def _inside(path: str, checkout: Path) -> bool:
    """Whether it is of the repository, and not of an environment that lies in it."""
    found = Path(path or os.curdir).resolve()
    environment = found.is_relative_to(Path(sys.prefix).resolve()) and not checkout.is_relative_to(sys.prefix)
    return found.is_relative_to(checkout) and not environment


def _text(folder: Path, *words: str) -> str:
    return _asked(folder, *words).decode(errors="replace").strip()


def _asked(folder: Path, *words: str) -> bytes:
    """What git answers. Raises InputError with git's own words."""
    try:
        return git(folder, *words)
    except GitFailed as error:
        raise InputError(
            f"git: {error}" if str(error) else f"there is no revision {words[-1].partition('^')[0]!r}",
            where=f"git -C {folder} {' '.join(words)}",
            hint="name a revision of the repository that you are in (a branch, a tag, a commit); "
            "a shallow clone has few of them: fetch-depth: 0",
        ) from error
