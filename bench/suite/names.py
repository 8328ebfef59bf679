"""Names for what a suite measures: readable, unique, the same in every session, and safe as parts of file names."""

from __future__ import annotations

import hashlib
import re

SIMPLE = re.compile(
    r"(?:[A-Za-z0-9][\w]*/)*[A-Za-z0-9][\w]*\.py(?:::[A-Za-z0-9]\w*)+(?:\[[A-Za-z0-9_.\-]+\])?", re.ASCII
)
"""Node ids from which no letter is lost: no two of them get the same name."""
UNSAFE = re.compile(r"[^A-Za-z0-9_.]+")
LONGEST = 120
DIGITS = 8
"""Of the hash that keeps apart what looks alike."""


def name_of(node_id: str, call: int = 1) -> str:
    """Of a test's measurement number `call`. `tests/test_a.py::test_b[short]` is `tests.test_a-test_b-short`.

    A test id with other characters than these, a very long one, and further calls of the same test get a hash of it."""
    parts = node_id.replace(".py::", "::", 1).replace("/", ".").replace("::", "-").replace("[", "-").removesuffix("]")
    if call == 1 and len(parts) <= LONGEST and SIMPLE.fullmatch(node_id):
        return parts
    kept = LONGEST - DIGITS - 1
    readable = UNSAFE.sub("-", parts if call == 1 else f"{parts}-{call}").strip("-._")[-kept:].strip("-._") or "test"
    told = f"{node_id}\0{call}".encode(errors="backslashreplace")
    return f"{readable}-{hashlib.sha256(told).hexdigest()[:DIGITS]}"


def suite_name(folder: str) -> str:
    """Of a project's folder: what it is called, without what no name may have."""
    return UNSAFE.sub("-", folder).strip("-._")[:LONGEST] or "suite"
