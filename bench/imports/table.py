"""A plain table: CSV with a mapping from bench's fields to its columns. One row is one repetition of one cell.

optimization: precision                           # field: column
throughput_per_s: {column: img/min, factor: 0.016666667}
p99_ms: {column: p99, unit: us}
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from bench.errors import ConfigError, InputError
from bench.imports.files import possible, read_text, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.records import Imported, Latency, Missing
from bench.stored import first_line

HINT = "save the table as CSV in UTF-8, with the columns' names in its first line"
NAMES = ("workload", "scenario", "partition", "optimization", "device", "device_kind")
COUNTS = ("batch_size", "tenants", "requests")
QUANTILES = ("p50", "p90", "p95", "p99", "mean")
TIMES = {**{f"{name}_ms": "ms" for name in QUANTILES}, "window_s": "s"}
"""Fields that are times, and in what bench has them."""
FIELDS = (*NAMES, *COUNTS, "throughput_per_s", *TIMES)
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
MOST_ROWS = 2_000
"""Each becomes a trial with its files; single requests belong into samples, and not into rows."""


@dataclass(frozen=True)
class _Column:
    """Where a field stands, and what its numbers are multiplied by."""

    name: str
    factor: float = 1.0


class Table(Importer):
    """Any tool's results, once somebody says what the columns are."""

    tool = "csv"
    reads = "any CSV with a header, one row for each repetition"
    takes: ClassVar[Mapping[str, str]] = {
        "mapping": "a yaml: bench's field -> column, or {column: ..., unit: us} or {column: ..., factor: 0.001}",
        "map.": f"the same for one field: map.throughput_per_s=img/s. Fields: {', '.join(FIELDS)}",
        "unit.": f"the column's unit, of a time: {', '.join(SECONDS)}",
        "factor.": "what the column's numbers are multiplied by",
        "delimiter": "between cells (default: a comma)",
        "tool": "what measured it, for the record",
        "version": "its version",
    }

    def read(self, files: Sequence[Path], said: Place) -> Found:
        columns = _columns(self.options)
        measured = [one for file in files for one in self._file(file, columns, said)]
        told = self.options.get("tool", "")
        version = f"{told} {self.options.get('version', '')}".strip()[:120]
        missing: list[Missing] = ["blocks", "proof", "requests"]
        if "device" not in columns:
            missing.append("device")
        return Found(Imported(tool=self.tool, version=version, files=sources(files), missing=tuple(missing)), measured)

    def _file(self, file: Path, columns: Mapping[str, _Column], said: Place) -> list[Measured]:
        names, rows = self._rows(file)
        for field, column in columns.items():
            if column.name not in names:
                there = ", ".join(map(shown, names))[:500]
                raise wrong(file, f"{field} is mapped to the column {shown(column.name)}, and there is none",
                            f"its columns are: {there}")  # fmt: skip
        return [_row(file, f"line {line}", dict(zip(names, row, strict=True)), columns, said) for line, row in rows]

    def _rows(self, file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
        """The columns' names, and the rows with the lines on which they end."""
        delimiter = self.options.get("delimiter", ",")
        if len(delimiter) != 1 or delimiter in '\r\n"':
            raise ConfigError("delimiter= is one character", where="delimiter=", hint="say delimiter=';', for example")
        rows: list[tuple[int, list[str]]] = []
        try:
            reader = csv.reader(io.StringIO(read_text(file, HINT), newline=""), strict=True, delimiter=delimiter)
            for row in reader:
                if not row:
                    continue
                if len(rows) > MOST_ROWS:
                    raise wrong(file, f"it has more than {MOST_ROWS} rows", "a row is a repetition, not a request")
                rows.append((reader.line_num, row))
        except csv.Error as error:
            raise wrong(file, f"this is no CSV: {error}", HINT) from error
        if len(rows) < 2:
            raise wrong(file, "it has no row below its header", HINT)
        names = [name.strip() for name in rows[0][1]]
        for line, row in rows[1:]:
            if len(row) != len(names):
                raise wrong(file, f"line {line} has {len(row)} cells, and the header {len(names)}",
                            "quote cells that hold the delimiter, or say delimiter=")  # fmt: skip
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise wrong(file, f"the column {shown(twice)} is there twice", HINT)
        return names, rows[1:]


def _row(file: Path, where: str, cells: Mapping[str, str], columns: Mapping[str, _Column], said: Place) -> Measured:
    numbers: dict[str, float] = {}
    for field, column in columns.items():
        text = cells[column.name].strip()
        if field not in NAMES and text:
            numbers[field] = _number(file, text, f"{where}, {column.name}") * column.factor
    for field in COUNTS:
        if field in numbers and numbers[field] != int(numbers[field]):
            raise wrong(file, f"{where}: {field} is {numbers[field]:g}, and counts are whole", HINT)
    told: dict[str, Any] = {name: cells[columns[name].name].strip() for name in NAMES if name in columns}
    told |= {name: int(numbers[name]) for name in ("batch_size", "tenants") if name in numbers}
    latency = None
    if all(f"{name}_ms" in numbers for name in QUANTILES):
        latency = Latency(**{name: _kept(file, where, numbers, f"{name}_ms") for name in QUANTILES})
    return Measured(
        said.held_to(file, **told),
        _kept(file, where, numbers, "throughput_per_s") if "throughput_per_s" in numbers else None,
        latency_ms=latency,
        requests=int(numbers["requests"]) if "requests" in numbers else None,
        window_s=_kept(file, where, numbers, "window_s") if "window_s" in numbers else None,
        detail={"row": {name[:200]: text[:200] for name, text in cells.items()}},
    )


def _kept(file: Path, where: str, numbers: Mapping[str, float], field: str) -> float:
    return possible(file, numbers[field], f"{where}: {field}", "look at the unit or factor of that column")


def _number(file: Path, text: str, where: str) -> float:
    try:
        found = float(text)
    except ValueError as error:
        raise wrong(file, f"{where} is no number: {shown(text)}", "write 1234.5, without units in the cells") from error
    return possible(file, found, where, HINT)


# --- the mapping ---


def _columns(options: Mapping[str, str]) -> dict[str, _Column]:
    told: dict[str, dict[str, Any]] = {}
    if "mapping" in options:
        told = _from_file(Path(options["mapping"]))
    for part, key in (("map.", "column"), ("unit.", "unit"), ("factor.", "factor")):
        for name, value in options.items():
            if name.startswith(part):
                told.setdefault(name.removeprefix(part), {})[key] = value
    if not any(field in told for field in ("throughput_per_s",)):
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


def _column(field: str, entry: Mapping[str, Any]) -> _Column:
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
    return _Column(entry["column"], factor)


def _factor(value: Any, where: str) -> float:
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not 0 < found < math.inf:
        raise ConfigError(f"{shown(value)} is no factor", where=where, hint="say a number above 0, such as 0.001")
    return found
