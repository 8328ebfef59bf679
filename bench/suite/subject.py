"""What must stay the same over all blocks of a run: the project's commit, and the libraries that are installed."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import bench
from bench.git import state_of


def subject(project: Path) -> dict[str, Any]:
    """Of the suite in this folder, JSON-serialisable."""
    return {"bench": bench.__version__, "project": {"commit": state_of(project)}, "libraries": libraries()}


def libraries() -> dict[str, str]:
    """Every distribution that is installed: nobody knows which of them a callable uses."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a folder that an uninstallation left behind has none
            found.setdefault(name.lower(), distribution.version)
    return dict(sorted(found.items()))
