"""Text of strangers, on its way to a terminal."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Without control and direction characters, which could move the cursor, rename the window or turn lines around:
    each is shown by its code instead. Line breaks and tabs stay."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
        return character
    return f"\\u{ord(character):04x}"
