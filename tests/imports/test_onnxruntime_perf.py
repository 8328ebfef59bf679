"""onnxruntime_perf_test: result files, standard outputs, and both."""

from __future__ import annotations

from pathlib import Path

import pytest
from read_files import DATA, missing, read, write

from bench.errors import ConfigError, InputError

FOLDER = DATA / "onnxruntime_perf"
TOOL = "onnxruntime-perf"


def test_the_output_tells_the_throughput_and_the_result_file_the_requests() -> None:
    found = read(TOOL, FOLDER / "result_with_statistics.csv", FOLDER / "output.txt", batch_size=4)
    (one,) = found.measured
    assert one.requests == len(one.latencies_ms) == 50
    assert one.throughput_per_s == pytest.approx(4 * 50 / one.window_s, rel=1e-4)
    assert one.latencies_ms[0] == pytest.approx(5.88, rel=0.1)
    assert one.detail["model"] == "squeezenet"
    assert "requests" not in missing(found)


def test_an_output_alone_has_summaries() -> None:
    found = read(TOOL, FOLDER / "arm_output.txt", batch_size=1)
    (one,) = found.measured
    assert (one.throughput_per_s, one.requests, one.window_s) == (538.184, 100, 0.18581)
    assert one.latency_ms is not None
    assert (one.latency_ms.p50, one.latency_ms.mean) == pytest.approx((1.85674, 1.85739))
    assert "requests" in missing(found)


def test_a_result_file_alone_has_no_throughput_unless_its_requests_came_one_by_one() -> None:
    with pytest.raises(InputError, match="how many requests ran at once") as caught:
        read(TOOL, FOLDER / "result.csv")
    assert "concurrency=1" in caught.value.hint
    (one,) = read(TOOL, FOLDER / "result.csv", options={"concurrency": "1"}, batch_size=2).measured
    assert one.throughput_per_s == pytest.approx(2 * 50 / (sum(one.latencies_ms) / 1e3))
    with pytest.raises(ConfigError, match="ran at once"):
        read(TOOL, FOLDER / "result.csv", options={"concurrency": "4"})


def test_a_result_file_that_grew_holds_several_repetitions(tmp_path: Path) -> None:
    lines = "m,0.01,1,1,0\nm,0.01,1,1,1\nm,0.02,1,1,0\n"
    found = read(TOOL, write(tmp_path, "result.csv", lines), options={"concurrency": "1"}, batch_size=1)
    assert [one.throughput_per_s for one in found.measured] == pytest.approx([100, 50])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no request"),
        ("model,0.01,1,1", "line 1 is no request"),
        ("m,0.01,1,1,5\n", "request 5, and others before it are missing"),
        ("m,0.01,1,1,0\nm,0.01,1,1,2\n", "request 2, and others"),
        ("m,nan,1,1,0\n", "which cannot be"),
        ("m,-1,1,1,0\n", "which cannot be"),
        ("m,abc,1,1,0\n", "no number"),
        ("m,5880500,1,1,0\n\nP50 Latency is 0.0058805 sec\n", "not seconds"),
        ("m,0.0,1,1,0\n", "no time at all"),
        ('{"a": 1}', "line 1 is no request"),
        ((FOLDER / "result.csv").read_text()[:-20], "no request of onnxruntime_perf_test"),
        ("Total inference requests: 10\n", "broken off"),
        ((FOLDER / "arm_output.txt").read_text() * 2, "several runs"),
        ((FOLDER / "arm_output.txt").read_text().replace("538.184", "900"), "are not 900 a second"),
    ],
)
def test_truncated_and_foreign_files_are_refused(tmp_path: Path, content: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read(TOOL, write(tmp_path, "result.csv", content), options={"concurrency": "1"})


def test_an_output_must_be_of_the_same_run() -> None:
    with pytest.raises(InputError, match=r"tells of 100 requests, and result.csv holds 50"):
        read(TOOL, FOLDER / "result.csv", FOLDER / "arm_output.txt")
    with pytest.raises(InputError, match="1 runs in result files, and 2 outputs"):
        read(TOOL, FOLDER / "result.csv", FOLDER / "output.txt", FOLDER / "arm_output.txt")
