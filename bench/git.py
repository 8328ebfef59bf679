"""Asking git about a checkout, which may be anybody's: nothing that its configuration names is started."""

from __future__ import annotations

import subprocess
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
