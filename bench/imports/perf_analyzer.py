"""Triton's perf_analyzer: `-f` (CSV, a row for each load) and `--profile-export-file` (JSON, every request).

Formats: perf_analyzer's docs/measurements_metrics.md, src/report_writer.cc and src/profile_data_exporter.cc. The CSV's
times are microseconds, and its Inferences/Second count items (requests times the batch). The JSON's are nanoseconds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench.imports.files import file_name, possible, read_json, read_text, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.records import Imported, Latency

HINT = "perf_analyzer writes it with -f perf.csv, or with --profile-export-file profile.json"
LOADS = {"Concurrency": "concurrency", "Request Rate": "request_rate"}
RATE, NETWORK, AVERAGE = "Inferences/Second", "Network+Server Send/Recv", "Avg latency"
PARTS = (
    "Client Send", NETWORK, "Server Queue", "Server Compute Input", "Server Compute Infer", "Server Compute Output",
    "Client Recv",
)  # fmt: skip
CACHED = ("Server Cache Hit", "Server Cache Miss")
QUANTILES = ("p50", "p90", "p95", "p99")
LATEST_NS = 2**63


@dataclass(frozen=True)
class _Load:
    """What was measured under one load: `value` requests at once, or requests a second."""

    file: Path
    mode: str
    value: float
    measured: Measured

    def __str__(self) -> str:
        return f"{self.mode}={self.value:g}"


class PerfAnalyzer(Importer):
    """Loads are no repetitions of each other: of a file with several, the user names the one that is meant."""

    tool = "perf-analyzer"
    reads = "perf.csv of -f, or profile.json of --profile-export-file"
    takes: ClassVar[Mapping[str, str]] = {
        "concurrency": "which of a file's loads: 4 requests at once, say",
        "request_rate": "the same, where the load was so many requests a second",
    }

    def read(self, files: Sequence[Path], said: Place) -> Found:
        measured, single, version = [], True, ""
        for file in files:
            text = read_text(file, HINT)
            if text.lstrip().startswith("{"):
                document = _document(file)
                version = version or str(document.get("version", ""))[:80]
                loads = list(_experiments(file, document, said))
            else:
                loads, single = list(_rows(file, text, said)), False
            measured.append(self._chosen(file, loads).measured)
        missing = ("blocks", "proof", "device") if single else ("blocks", "proof", "device", "requests")
        return Found(Imported(tool=self.tool, version=version, files=sources(files), missing=missing), measured)

    def _chosen(self, file: Path, loads: Sequence[_Load]) -> _Load:
        wanted = {name: _number(file, value, f"{name}=") for name, value in self.options.items()}
        found = [load for load in loads if all(load.mode == m and load.value == v for m, v in wanted.items())]
        if len(found) == 1:
            return found[0]
        there = ", ".join(map(str, loads[:20]))
        if not found:
            raise wrong(file, f"none of its loads is the one that is asked for; it has {there}", "name one of them")
        raise wrong(file, f"it tells of several loads: {there}", f"say which one is meant: {loads[0]}")


def _rows(file: Path, text: str, said: Place) -> Iterator[_Load]:
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row] or [[]]
    except csv.Error as error:
        raise wrong(file, f"this is no CSV: {error}", HINT) from error
    names = [name.strip() for name in header]
    mode = next((LOADS[name] for name in names if name in LOADS), None)
    if mode is None or RATE not in names or len(set(names)) != len(names):
        raise wrong(file, f"its first line is not perf_analyzer's: {shown(','.join(names))}", HINT)
    if not rows:
        raise wrong(file, "it holds no load: the measurement never became stable, or was broken off", HINT)
    for index, row in enumerate(rows, start=2):
        if len(row) != len(names) and not (len(row) == len(names) + 1 and not row[-1]):
            raise wrong(file, f"line {index} has {len(row)} cells, and the first line {len(names)}", HINT)
        cells = dict(zip(names, row, strict=False))
        value = next(_number(file, cells[name], f"line {index}: {name}") for name in LOADS if name in cells)
        yield _Load(file, mode, value, _row(file, cells, f"line {index}", said, f"{mode}={value:g}"))


def _row(file: Path, cells: Mapping[str, str], where: str, said: Place, load: str) -> Measured:
    """The mean is Avg latency, or what its parts add up to: perf_analyzer takes the network's part as what is left of
    the mean, except where that would be below 0."""
    told = {
        name: _number(file, cells[name], f"{where}: {name}")
        for name in (*PARTS, *CACHED, AVERAGE, *(f"{quantile} latency" for quantile in QUANTILES))
        if name in cells
    }
    mean_us = told.get(AVERAGE)
    if mean_us is None and all(name in told for name in PARTS) and told[NETWORK] > 0:
        mean_us = sum(told[name] for name in (*PARTS, *CACHED) if name in told)
    quantiles = {name: told[f"{name} latency"] / 1e3 for name in QUANTILES if f"{name} latency" in told}
    latency = None
    if mean_us is not None and len(quantiles) == len(QUANTILES):
        latency = Latency(**quantiles, mean=mean_us / 1e3)
    return Measured(
        said,
        _number(file, cells[RATE], f"{where}: {RATE}"),
        latency_ms=latency,
        detail={"file": file_name(file), "load": load, "us": told},
    )


def _document(file: Path) -> Mapping[str, Any]:
    found = read_json(file, HINT)
    if not isinstance(found, dict) or not isinstance(found.get("experiments"), list) or not found["experiments"]:
        raise wrong(file, "this JSON has no experiments, so it is no profile export of perf_analyzer", HINT)
    return found


def _experiments(file: Path, document: Mapping[str, Any], said: Place) -> Iterator[_Load]:
    for index, entry in enumerate(document["experiments"], start=1):
        where = f"experiment {index}"
        load = entry.get("experiment") if isinstance(entry, dict) else None
        if not isinstance(load, dict) or load.get("mode") not in LOADS.values():
            raise wrong(file, f"{where} does not tell its load", HINT)
        value = load.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(file, f"{where} does not tell its load", HINT)
        value = possible(file, value, f"{where}: value", HINT)
        yield _Load(file, load["mode"], value, _experiment(file, entry, where, said, f"{load['mode']}={value:g}"))


def _experiment(file: Path, entry: Mapping[str, Any], where: str, said: Place, load: str) -> Measured:
    """Requests that ended within the measured windows; without windows, all of them."""
    requests = entry.get("requests")
    if not isinstance(requests, list) or not all(isinstance(request, dict) for request in requests):
        raise wrong(file, f"{where} has no list of requests", HINT)
    spans = [span for request in requests if (span := _span(file, request, where))]
    bounds = entry.get("window_boundaries") or []
    if not isinstance(bounds, list):
        raise wrong(file, f"{where}: its window_boundaries are no list", HINT)
    times = [_instant(file, bound, where) for bound in bounds]
    if len(times) > 1:
        begin, end = min(times), max(times)
        spans = [span for span in spans if begin <= span[1] <= end]
    elif spans:
        begin, end = min(span[0] for span in spans), max(span[1] for span in spans)
    if not spans or end <= begin:
        raise wrong(file, f"no request was answered in {where}", HINT)
    window_s = (end - begin) / 1e9
    return Measured(
        said,
        possible(file, len(spans) * (said.batch_size or 1) / window_s, "items per second", HINT),
        latencies_ms=[(last - first) / 1e6 for first, last in spans],
        ends_s=[(last - begin) / 1e9 for _, last in spans],
        requests=len(spans),
        window_s=window_s,
        detail={"file": file_name(file), "load": load, "requests_in_all": len(requests)},
    )


def _span(file: Path, request: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    """From sending it until its last response; None where none came."""
    responses = request.get("response_timestamps")
    if not isinstance(responses, list):
        raise wrong(file, f"{where}: a request has no response_timestamps", HINT)
    if not responses:
        return None
    first = _instant(file, request.get("timestamp"), where)
    last = max(_instant(file, response, where) for response in responses)
    if last < first:
        raise wrong(file, f"{where}: a response came before its request", HINT)
    return first, last


def _instant(file: Path, value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LATEST_NS:
        raise wrong(file, f"{where}: {shown(value)} is no time in nanoseconds", HINT)
    return value


def _number(file: Path, text: str, what: str) -> float:
    try:
        found = float(text)
    except ValueError as error:
        raise wrong(file, f"{what} is no number: {shown(text)}", HINT) from error
    return possible(file, found, what, HINT)
