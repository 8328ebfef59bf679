"""What strangers wrote, on its way to a terminal or a JSON reader."""

from __future__ import annotations

import math
import unicodedata
from typing import Any


def printable(text: str) -> str:
    """Without control and direction characters, which could move the cursor, rename the window or turn lines around:
    each is shown by its code instead. Line breaks and tabs stay."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
        return character
    return f"\\u{ord(character):04x}"


def finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON has not."""
    if isinstance(value, dict):
        return {str(key): finite(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
