"""Where bench keeps what must outlive a crash: journals of MIG changes, and rehearsed GPUs."""

from __future__ import annotations

import os
from pathlib import Path

STATE_DIR = "BENCH_STATE_DIR"


def state_folder(name: str) -> Path:
    """BENCH_STATE_DIR, else bench's folder among the user's state (XDG_STATE_HOME); `name` within it. Not made here."""
    home = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(os.environ.get(STATE_DIR) or Path(home) / "bench") / name
