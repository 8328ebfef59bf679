"""JSON on standard output, the same from every verb."""

from __future__ import annotations

import json
import sys
from typing import Any

from bench.printable import finite


def print_json(content: Any) -> None:
    """What is no number is null, so that every reader takes it."""
    json.dump(finite(content), sys.stdout, indent=1, ensure_ascii=True, allow_nan=False)
    sys.stdout.write("\n")
