"""Importers as tests use them: on the data files, with what a user would say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.imports.imported import Found, Place
from bench.imports.tools import importer

DATA = Path(__file__).parent / "data"
SAID = Place(
    workload="net", scenario="offline", optimization="fp32", device="made-up GPU", device_kind="cuda", batch_size=8
)


def read(tool: str, *files: Path, options: dict[str, str] | None = None, **said: Any) -> Found:
    found = importer(tool, options or {}).read(list(files), dataclasses.replace(SAID, **said))
    assert isinstance(found, Found)
    return found


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def missing(found: Found) -> Sequence[str]:
    return found.imported.missing
