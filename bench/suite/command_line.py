"""`--bench-run FOLDER` on pytest's command line. pytest looks for the project's root before it knows this option: a
folder that stands by itself, and is there, counts as one with tests. In `--bench-run=FOLDER` it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

RUN = "--bench-run"


def misplaced(arguments: Sequence[str], cwd: Path) -> str | None:
    """The run's folder, where pytest may have taken another project's root or settings because of it. Below `cwd` it
    cannot: from there pytest comes past the same files."""
    before, _ = _parted(arguments)
    for option, value in pairwise(before):
        folder = os.path.abspath(cwd / value)  # noqa: PTH100 - as pytest reads it, which follows no links
        # os.path: a name that no file can have is not there, and no error
        if option == RUN and os.path.exists(folder) and not Path(folder).is_relative_to(cwd):  # noqa: PTH110
            return value
    return None


def again(arguments: Sequence[str], added: Sequence[str]) -> list[str]:
    """The same command with other options: `added` holds the run, whatever the command said of it."""
    before, rest = _parted(arguments)
    return [*_without_run(before), *added, *rest]


def _without_run(arguments: Sequence[str]) -> Iterator[str]:
    words = iter(arguments)
    for word in words:
        if word == RUN:
            next(words, None)
        elif not word.startswith(f"{RUN}="):
            yield word


def _parted(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Options end at `--`: whatever follows is a path."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end:]
