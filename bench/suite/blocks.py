"""Further blocks of the same tests: a session starts fresh processes of itself, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.isolation.confine import CONDUCTOR_PID, confine_from_environment
from bench.suite import CHILD, command_line

UNWANTED = ("lfplugin", "nfplugin", "stepwiseplugin")
"""Parts of pytest that would choose tests anew, by what failed in the session before."""
SHOWN_LINES = 30


@dataclass(frozen=True)
class Ended:
    """How a further session ended, and the end of what it printed."""

    status: int
    printed: str


def further(
    arguments: Sequence[str], folder: Path, run: Path, tests: Sequence[str], root: Path, settings: Path | None
) -> Ended:
    """One more session of pytest with the same `arguments`, in `folder`, for these tests alone: a block of `run`. It
    has the same `root` and `settings` (pytest.ini), for ids of tests begin there. It ends with this process, however
    that ends."""
    same = [f"--rootdir={root}", *([f"--config-file={settings}"] if settings else [])]
    added = [*(f"-pno:{name}" for name in UNWANTED), *same, f"{command_line.RUN}={run}"]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as chosen:
        json.dump(list(tests), chosen)
        chosen.flush()
        done = subprocess.run(
            [*_pytest(), *command_line.again(arguments, added)],
            cwd=folder,
            env={**os.environ, CHILD: chosen.name, CONDUCTOR_PID: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    lines = done.stdout.decode(errors="replace").splitlines()
    return Ended(done.returncode, "\n".join(lines[-SHOWN_LINES:]))


def chosen_tests() -> list[str]:
    """Of a session that `further` started. Told once: a pytest that a test starts is no further session."""
    found = json.loads(Path(os.environ.pop(CHILD)).read_text(encoding="utf-8"))
    confine_from_environment()
    os.environ.pop(CONDUCTOR_PID, None)
    return [str(test) for test in found]


def _pytest() -> list[str]:
    """As this one was started: `python -m pytest` looks for modules in the current folder, `pytest` does not."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    as_module = spec is not None and spec.name == "pytest.__main__"
    return [sys.executable, *([] if as_module else ["-P"]), "-m", "pytest"]
