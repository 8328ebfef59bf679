"""A plain table: CSV with a mapping from bench's fields to its columns. One row is one repetition of one cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.errors import ConfigError
from bench.imports.files import possible, read_text, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.imports.table_mapping import COUNTS, FIELDS, NAMES, QUANTILES, SECONDS, Column, columns_of
from bench.records import Imported, Latency, Missing

HINT = "save the table as CSV in UTF-8, with the columns' names in its first line"
MOST_ROWS = 2_000
"""Each becomes a trial with its files; single requests belong into samples, and not into rows."""


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
        columns = columns_of(self.options)
        measured = [one for file in files for one in self._file(file, columns, said)]
        told = self.options.get("tool", "")
        version = f"{told} {self.options.get('version', '')}".strip()[:120]
        missing: list[Missing] = ["blocks", "proof", "requests"]
        if "device" not in columns:
            missing.append("device")
        return Found(Imported(tool=self.tool, version=version, files=sources(files), missing=tuple(missing)), measured)

    def _file(self, file: Path, columns: Mapping[str, Column], said: Place) -> list[Measured]:
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


def _row(file: Path, where: str, cells: Mapping[str, str], columns: Mapping[str, Column], said: Place) -> Measured:
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
