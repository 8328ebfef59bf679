"""`bench list`: every group's options, each with the sentence that its yaml begins with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.composition import hydra_ready, user_folders
from bench.groups import GROUPS, options
from bench.verbs.printing import print_json

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


PACKAGE = "# @package"
"""Where Hydra puts what the file holds; no word for people."""


def run(config_dirs: Sequence[str], as_json: bool) -> int:
    folders = user_folders(config_dirs)
    with hydra_ready(folders):
        found = {group: options(group) for group in GROUPS}
    if as_json:
        print_json(found)
        return 0
    for group, names in found.items():
        sys.stdout.write(f"{group}\n")
        width = max(map(len, names), default=0) + 2
        for name in names:
            sys.stdout.write(f"  {name:{width}}{_sentence((*folders, CONFIGS), group, name)}".rstrip() + "\n")
    return 0


def _sentence(folders: Sequence[Path], group: str, name: str) -> str:
    """The leading comment of the yaml that Hydra would take."""
    for folder in folders:
        path = folder / group / f"{name}.yaml"
        if path.is_file():
            lines = []
            for line in path.read_text().splitlines():
                if not line.startswith("#"):
                    break
                if not line.startswith(PACKAGE):
                    lines.append(line.lstrip("# ").rstrip())
            return " ".join(lines)
    return ""
