"""Other tools' files, read as warily as anybody's: what is no file, too large, no text or no JSON is an InputError."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.records import SourceFile
from bench.stored import GREATEST, content, first_line

MOST_BYTES = 128 * 2**20
"""Of one file: JSON takes ten times that in memory."""
HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Half a character, if the other half is not beside it: no file can hold that again."""
MOST_DEEP = 64
"""Nested records of a file: no tool goes beyond ten, and whoever writes them again would run out of stack."""


def source(path: Path) -> SourceFile:
    """What a file was."""
    return SourceFile(name=file_name(path), sha256=hashlib.sha256(_bytes(path, "")).hexdigest())


def sources(paths: Sequence[Path]) -> tuple[SourceFile, ...]:
    return tuple(source(path) for path in paths)


def file_name(path: Path) -> str:
    """Names that are no UTF-8 are kept as far as they can be written down."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def wrong(path: Path, what: str, hint: str) -> InputError:
    """`hint`: how the tool writes the right file."""
    return InputError(what, where=str(path), hint=hint)


def read_text(path: Path, hint: str) -> str:
    """The whole file; UTF-8, with or without a byte order mark."""
    try:
        return _bytes(path, hint).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise wrong(path, f"this is no text in UTF-8: byte {error.start} cannot be read", hint) from error


def read_json(path: Path, hint: str, constants: bool = False) -> Any:
    """Keys that stand twice, NaN and Infinity, and nests without end are refused: they mean one thing to one reader
    and another to the next. `constants`: the tool does write NaN and Infinity."""
    text = read_text(path, hint)
    try:
        found = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=float if constants else _no_constant,
            parse_float=float if constants else _finite,
        )
        if HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise wrong(path, "this JSON is nested without end", hint) from error
    except ValueError as error:
        raise wrong(path, f"this is no whole JSON: {first_line(error)}", hint) from error
    if _deeper(found, MOST_DEEP):
        raise wrong(path, f"this JSON is nested more than {MOST_DEEP} deep", hint)
    return found


def number(path: Path, record: Mapping[str, Any], key: str, where: str, hint: str) -> float:
    """A finite number of at least 0, and not beyond what any device does or anybody waits for. `where`: of the file,
    for people ("inference 12")."""
    found = record.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        what = f"{where} has no {key}" if key not in record else f"{where}: {key} is no number: {shown(found)}"
        raise wrong(path, what, hint)
    return possible(path, found, f"{where}: {key}", hint)


def possible(path: Path, found: float, what: str, hint: str) -> float:
    """The same of a number that has been read."""
    if not 0 <= found <= GREATEST:  # which no NaN is
        raise wrong(path, f"{what} is {shown(found)}, which cannot be", hint)
    return float(found)


def shown(value: Any) -> str:
    """What a stranger wrote, short."""
    return repr(value)[:60]


def plain(value: Any, most: int = 200) -> str:
    """A text as it can be written down again: half of a surrogate pair cannot. "" for what is no text."""
    return value[:most].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _bytes(path: Path, hint: str) -> bytes:
    hint = hint or "name a file that another tool wrote"
    try:
        if path.is_file() and (size := path.stat().st_size) > MOST_BYTES:
            what = f"it has {size:,} bytes, and at most {MOST_BYTES:,} are read"
            raise wrong(path, what, "measure for a shorter time")
        return content(path)
    except FileNotFoundError as error:
        raise wrong(path, f"there is no {path}", hint) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise wrong(path, f"this file cannot be read: {first_line(error)}", hint) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one record")
    return found


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise ValueError(f"it holds {text[:40]}, which is too large")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number in JSON")


def _deeper(found: Any, most: int) -> bool:
    inside = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return most < 0 or any(_deeper(item, most - 1) for item in inside)
