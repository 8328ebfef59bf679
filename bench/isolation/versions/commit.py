"""Tenants that run a revision of a git repository, and those that run its working tree."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bench
from bench.contract import Isolation, Launcher, plugin
from bench.errors import InputError
from bench.git import GitFailed, git, state_of
from bench.isolation.process import Processes
from bench.isolation.versions.arrived import Expected
from bench.isolation.versions.launcher import VersionLauncher
from bench.isolation.versions.unpacked import empty_folder

SHORT = 12
OWN = Path(bench.__file__).resolve().parent


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
        with empty_folder() as root:
            left_out = _extract(checkout, commit, root)
            first = tuple(filter(None, (_moved(part, checkout, root) for part in _imported_from(checkout))))
            _check_instrument(first, checkout, commit)
            yield VersionLauncher(
                expected=Expected(f"commit {commit[:SHORT]}", str(root), (*first, *_usual(root))),
                told={"commit": commit, **({"left_out": left_out} if left_out else {})},
                first=first,
                moved=lambda path: _moved(path, checkout, root),
            )


@plugin
class WorkingTree(Processes):
    """Plain processes that must import `repository` as it is now: the side that a revision is the base of."""

    repository: Path = Path()

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        checkout = top_level(self.repository)
        yield VersionLauncher(
            expected=Expected("the working tree", str(checkout), (*_imported_from(checkout), *_usual(checkout))),
            told={"commit": state_of(checkout)},
            memory_limit_bytes=self.memory_limit_bytes,
        )


def top_level(folder: Path) -> Path:
    """The repository's root. Raises InputError."""
    return Path(_text(folder, "rev-parse", "--show-toplevel")).resolve()


def resolve(folder: Path, revision: str) -> str:
    """The full name of the commit that `revision` means now. Raises InputError."""
    return _text(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def _imported_from(checkout: Path) -> tuple[str, ...]:
    """What this process has of the repository on its import path; where that is nothing that shows there (an
    installation in place that hooks into imports), where packages usually lie."""
    shown = [str(Path(part).resolve()) for part in sys.path if part and _inside(part, checkout)]
    return tuple(dict.fromkeys(shown or _usual(checkout)))


def _usual(checkout: Path) -> list[str]:
    return [str(folder) for folder in (checkout / "src", checkout) if folder.is_dir()]


def _extract(checkout: Path, commit: str, root: Path) -> list[str]:
    """An archive leaves the repository as it is, where a worktree would have to be taken out of its books again. Gives
    what it left out: links that lead out of the repository."""
    left_out: list[str] = []

    def safe(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        try:
            return tarfile.data_filter(member, path)
        except tarfile.FilterError:
            left_out.append(member.name)
            return None

    archive = _asked(checkout, "archive", "--format=tar", commit)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(root, filter=safe)
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"commit {commit[:SHORT]} cannot be unpacked: {error}", where=str(root), hint="free some space in TMPDIR"
        ) from error
    return left_out


def _check_instrument(folders: tuple[str, ...], checkout: Path, commit: str) -> None:
    """A package of bench's name would be taken for the instrument. In bench's own repository it is one."""
    if not OWN.is_relative_to(checkout) and any(
        (Path(folder) / "bench" / "__init__.py").exists() for folder in folders
    ):
        raise InputError(
            f"commit {commit[:SHORT]} has a package named bench where packages are imported from",
            where=str(checkout),
            hint="set PYTHONPATH to the folder of what is measured, such as src",
        )


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
