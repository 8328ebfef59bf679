"""The mapping of bench's fields to a table's columns: from a yaml, or from the command.

optimization: precision                           # field: column
throughput_per_s: {column: img/min, factor: 0.016666667}
p99_ms: {column: p99, unit: us}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.errors import ConfigError, InputError
from bench.imports.files import read_text, shown, wrong
from bench.stored import first_line

NAMES = ("workload", "scenario", "partition", "optimization", "device", "device_kind")
COUNTS = ("batch_size", "tenants", "requests")
QUANTILES = ("p50", "p90", "p95", "p99", "mean")
TIMES = {**{f"{name}_ms": "ms" for name in QUANTILES}, "window_s": "s"}
"""Fields that are times, and in what bench has them."""
FIELDS = (*NAMES, *COUNTS, "throughput_per_s", *TIMES)
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


@dataclass(frozen=True)
class Column:
    """Where a field stands, and what its numbers are multiplied by."""

    name: str
    factor: float = 1.0


def columns_of(options: Mapping[str, str]) -> dict[str, Column]:
    """By field. `options`: mapping=, map., unit. and factor. as users write them. Raises ConfigError."""
    told: dict[str, dict[str, Any]] = {}
    if "mapping" in options:
        told = _from_file(Path(options["mapping"]))
    for part, key in (("map.", "column"), ("unit.", "unit"), ("factor.", "factor")):
        for name, value in options.items():
            if name.startswith(part):
                told.setdefault(name.removeprefix(part), {})[key] = value
    if "throughput_per_s" not in told:
        raise ConfigError(
            "nothing says which column holds the throughput", where="mapping=",
            hint="say map.throughput_per_s=COLUMN (items per second), or mapping=FILE with that line",
        )  # fmt: skip
    return {field: _column(field, entry) for field, entry in told.items()}


def _from_file(path: Path) -> dict[str, dict[str, Any]]:
    hint = "it has lines such as `throughput_per_s: img/s` or `p99_ms: {column: p99, unit: us}` (docs/import.md)"
    try:
        found = yaml.safe_load(read_text(path, hint))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise wrong(path, f"this mapping is no yaml: {first_line(error)}", hint) from error
    if not isinstance(found, dict):
        raise wrong(path, "this mapping is no mapping of fields to columns", hint)
    entries = {}
    for field, value in found.items():
        entry = {"column": value} if isinstance(value, str) else value
        if not isinstance(entry, dict) or not entry.keys() <= {"column", "unit", "factor"}:
            raise wrong(path, f"{shown(field)} is mapped to {shown(value)}, which is no column", hint)
        entries[str(field)] = dict(entry)
    return entries


def _column(field: str, entry: Mapping[str, Any]) -> Column:
    where = f"the mapping of {field[:80]}"
    if field not in FIELDS:
        raise ConfigError(f"there is no field {field[:80]}", where=where, hint=f"fields: {', '.join(FIELDS)}")
    if not isinstance(entry.get("column"), str):
        raise ConfigError(f"{field} has no column", where=where, hint=f"say map.{field}=COLUMN")
    if "unit" in entry and "factor" in entry:
        raise ConfigError(f"{field} has a unit and a factor", where=where, hint="one of them is enough")
    if field in NAMES and len(entry) > 1:
        raise ConfigError(f"{field} is a name, and has no unit", where=where, hint="leave unit and factor out")
    factor = 1.0
    if "unit" in entry:
        if field not in TIMES or entry["unit"] not in SECONDS:
            raise ConfigError(
                f"{field} cannot be in {shown(entry['unit'])}", where=where,
                hint=f"times have units: {', '.join(SECONDS)}; everything else has a factor",
            )  # fmt: skip
        factor = SECONDS[entry["unit"]] / SECONDS[TIMES[field]]
    if "factor" in entry:
        factor = _factor(entry["factor"], where)
    return Column(entry["column"], factor)


def _factor(value: Any, where: str) -> float:
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not 0 < found < math.inf:
        raise ConfigError(f"{shown(value)} is no factor", where=where, hint="say a number above 0, such as 0.001")
    return found
