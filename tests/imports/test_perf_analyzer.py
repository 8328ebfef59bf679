"""perf_analyzer's CSV and its profile export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from read_files import DATA, missing, read, write

from bench.errors import InputError

CSV = DATA / "perf_analyzer" / "perf.csv"
PROFILE = DATA / "perf_analyzer" / "profile.json"
TOOL = "perf-analyzer"
HEADER = "Concurrency,Inferences/Second,Client Send,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency"


def test_the_csv_is_in_microseconds_and_counts_items() -> None:
    found = read(TOOL, CSV, options={"concurrency": "1"})
    (one,) = found.measured
    assert one.throughput_per_s == 69.2  # whatever the batch: inferences are items there
    assert one.latency_ms is not None
    assert one.latency_ms.p99 == pytest.approx(21.018)
    assert one.latency_ms.mean == pytest.approx((225 + 2148 + 64 + 206 + 11781 + 19 + 0) / 1e3)
    assert "requests" in missing(found)


def test_loads_are_no_repetitions_so_one_is_to_be_named() -> None:
    with pytest.raises(InputError, match="several loads: concurrency=1, concurrency=3") as caught:
        read(TOOL, CSV)
    assert "concurrency=1" in caught.value.hint
    with pytest.raises(InputError, match="none of its loads"):
        read(TOOL, CSV, options={"concurrency": "7"})
    with pytest.raises(InputError, match="concurrency= is no number"):
        read(TOOL, CSV, options={"concurrency": "all"})


def test_without_the_servers_part_there_is_no_mean_to_tell(tmp_path: Path) -> None:
    file = write(tmp_path, "perf.csv", f"{HEADER}\n1,70,1,1,10,11,12,13\n")
    (one,) = read(TOOL, file).measured
    assert one.latency_ms is None
    assert one.detail["us"]["p50 latency"] == 10
    verbose = write(tmp_path, "verbose.csv", f"{HEADER},Avg latency,\n1,70,1,1,10,11,12,13,10.5,\n")
    (one,) = read(TOOL, verbose).measured
    assert one.latency_ms is not None and one.latency_ms.mean == pytest.approx(0.0105)


def test_the_profile_export_has_every_request_in_nanoseconds() -> None:
    found = read(TOOL, PROFILE, options={"concurrency": "1"})
    (one,) = found.measured
    assert found.imported.version == "2.62.0"
    assert one.latencies_ms[0] == pytest.approx(4.0, rel=0.01)
    assert one.window_s == pytest.approx(0.08)
    assert one.requests == len(one.latencies_ms) == len(one.ends_s)
    assert one.throughput_per_s == pytest.approx(one.requests * 8 / 0.08)
    assert "requests" not in missing(found)


def export(folder: Path, requests: Any, bounds: Any = (), mode: Any = "concurrency", value: Any = 1) -> Path:
    entry = {"experiment": {"mode": mode, "value": value}, "requests": requests, "window_boundaries": list(bounds)}
    return write(folder, "profile.json", json.dumps({"experiments": [entry], "version": "2"}))


def request(first: Any, *responses: Any) -> dict[str, Any]:
    return {"timestamp": first, "response_timestamps": list(responses)}


def test_requests_outside_of_the_windows_and_without_an_answer_do_not_count(tmp_path: Path) -> None:
    requests = [request(0, 500), request(600, 1500), request(1500, 1700, 2000), request(2000, 3500), request(5)]
    (one,) = read(TOOL, export(tmp_path, requests, (1000, 2000)), batch_size=1).measured
    assert one.latencies_ms == pytest.approx([900e-6, 500e-6])
    assert one.throughput_per_s == pytest.approx(2 / 1e-6)
    (one,) = read(TOOL, export(tmp_path, requests), batch_size=1).measured
    assert one.throughput_per_s == pytest.approx(4 / 3.5e-6)


@pytest.mark.parametrize(
    ("requests", "what"),
    [
        ([], "no request was answered"),
        ([request(5)], "no request was answered"),
        ([request(5, 3)], "a response came before its request"),
        ([request(-5, 3)], "-5 is no time"),
        ([request(1.5, 3)], "1.5 is no time"),
        ([request(1, 2**64)], "is no time"),
        ([{"timestamp": 1}], "no response_timestamps"),
        ([1], "no list of requests"),
        (None, "no list of requests"),
    ],
)
def test_exports_that_cannot_be_are_refused(tmp_path: Path, requests: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read(TOOL, export(tmp_path, requests))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "first line is not perf_analyzer's"),
        ("a,b\n1,2\n", "first line is not perf_analyzer's"),
        (CSV.read_text().splitlines()[0], "holds no load"),
        (CSV.read_text()[:-30], "cells, and the first line"),
        (f"{HEADER}\n1,nan,1,1,1,1,1,1\n", "which cannot be"),
        (f"{HEADER}\n1,fast,1,1,1,1,1,1\n", "is no number: 'fast'"),
        (f'{HEADER}\n"1,2\n', "no CSV"),
        ('{"experiments": []}', "no experiments"),
        ('{"experiments": [1]}', "does not tell its load"),
        ('{"experiments": [{"experiment": {"mode": "concurrency", "value": null}}]}', "does not tell its load"),
        (PROFILE.read_text()[:900], "no whole JSON"),
    ],
)
def test_truncated_and_foreign_files_are_refused(tmp_path: Path, content: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read(TOOL, write(tmp_path, "perf.csv", content))
