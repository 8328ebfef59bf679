"""Asking git about a checkout, which may be anybody's: nothing that its configuration names is started."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

LIMIT_S = 300


class GitFailed(Exception):
    """git is not there, or says no; the message is its own last line, "" where it says nothing."""


def git(folder: Path, *words: str, limit_s: float = LIMIT_S) -> bytes:
    """What git answers in that folder. Raises GitFailed."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=limit_s, check=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise GitFailed(said[-1].removeprefix("fatal: ") if said else "") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(f"git could not be asked: {error}") from error
    return done.stdout


def commit_of(folder: Path) -> str | None:
    """Of the checkout that a folder is in, with "-dirty" when a tracked file was changed; None where it is in none."""
    try:
        told = git(folder, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*", limit_s=10)
    except GitFailed:
        return None
    return told.decode(errors="replace").strip() or None


def state_of(folder: Path) -> str | None:
    """The same by content: tracked files that were changed add a hash of their changes."""
    try:
        revision = git(folder, "rev-parse", "--short=12", "HEAD", limit_s=20)
        changes = git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary", limit_s=20)
    except GitFailed:
        return None
    told = revision.decode(errors="replace").strip()
    return f"{told}-dirty-{hashlib.sha256(changes).hexdigest()[:8]}" if changes else told


@cache
def python_state(folder: Path) -> str | None:
    """A hash of every Python file of the checkout that a folder is in, as it is now, but for those that git ignores;
    None where it is in none. Once for each process: nothing that is measured should change under it."""
    try:
        top = Path(git(folder, "rev-parse", "--show-toplevel").decode().strip())
        kept = git(top, "ls-files", "-s", "-z", "--", "*.py")
        changed = git(top, "diff", "--no-ext-diff", "--no-textconv", "--binary", "--", "*.py")
        fresh = git(top, "ls-files", "-o", "-z", "--exclude-standard", "--", "*.py")
    except (GitFailed, UnicodeDecodeError):
        return None
    digest = hashlib.sha256(kept + changed + fresh)
    for name in sorted(filter(None, fresh.split(b"\0"))):
        path = top / name.decode(errors="surrogateescape")
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:24]
