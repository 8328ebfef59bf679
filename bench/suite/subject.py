"""What must stay the same over all blocks of a run: the project's commit, and the libraries that are installed."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

import bench
from bench.git import GitFailed, git

GIT_LIMIT_S = 20


def subject(project: Path) -> dict[str, Any]:
    """Of the suite in this folder, JSON-serialisable."""
    return {"bench": bench.__version__, "project": {"commit": commit(project)}, "libraries": libraries()}


def libraries() -> dict[str, str]:
    """Every distribution that is installed: nobody knows which of them a callable uses."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a folder that an uninstallation left behind has none
            found.setdefault(name.lower(), distribution.version)
    return dict(sorted(found.items()))


def commit(project: Path) -> str | None:
    """Of the checkout that the suite is in; tracked files that were changed add a hash of their changes. None: no git,
    or no commit."""
    try:
        revision = git(project, "rev-parse", "--short=12", "HEAD", limit_s=GIT_LIMIT_S)
        changes = git(project, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary", limit_s=GIT_LIMIT_S)
    except GitFailed:
        return None
    told = revision.decode(errors="replace").strip()
    return f"{told}-dirty-{hashlib.sha256(changes).hexdigest()[:8]}" if changes else told
