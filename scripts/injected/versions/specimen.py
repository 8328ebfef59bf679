"""A model whose duration is known, and is a matter of its version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads.calibration import Specimen

DURATION_MS = 1.0
SLOWER = Path(__file__).with_name("slower.txt")
"""Written into the version that is to be slower: by what share."""


def make() -> Callable[[Any], Any]:
    """Spins for as long as this version takes."""
    slower = float(SLOWER.read_text()) if SLOWER.exists() else 0.0
    return Specimen("spin", round(DURATION_MS * 1e6 * (1 + slower)), "none", 0)
