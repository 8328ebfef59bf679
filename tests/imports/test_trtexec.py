"""trtexec's two exports, whole, truncated, foreign and impossible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from read_files import DATA, missing, read, write

from bench.errors import InputError

TIMES = DATA / "trtexec" / "times_fp32.json"
STREAMS = DATA / "trtexec" / "times_two_streams.json"
PROFILE = DATA / "trtexec" / "profile.json"


def inference(begin_ms: float, compute_ms: float, **change: Any) -> dict[str, Any]:
    """One that is not transferred for 0.1 ms at both ends."""
    start, end = begin_ms + 0.1, begin_ms + 0.1 + compute_ms
    return {
        "startEnqMs": begin_ms, "endEnqMs": begin_ms, "startH2dMs": begin_ms, "endH2dMs": start,
        "startComputeMs": start, "endComputeMs": end, "startD2hMs": end, "endD2hMs": end + 0.1,
        "h2dMs": 0.1, "computeMs": compute_ms, "d2hMs": 0.1, "latencyMs": compute_ms + 0.2, **change,
    }  # fmt: skip


def times(folder: Path, *inferences: dict[str, Any], name: str = "times.json") -> Path:
    return write(folder, name, json.dumps(inferences))


def test_items_per_second_are_counted_over_the_window_and_times_the_batch(tmp_path: Path) -> None:
    file = times(tmp_path, inference(100, 0.8), inference(101, 0.8))
    (one,) = read("trtexec", file).measured
    assert one.window_s == pytest.approx(0.002)
    assert one.throughput_per_s == pytest.approx(2 * 8 / 0.002)
    assert one.latencies_ms == pytest.approx([1.0, 1.0])
    assert one.ends_s == pytest.approx([0.101, 0.102])


def test_streams_that_overlap_give_more_than_the_inverse_of_a_latency() -> None:
    (one,) = read("trtexec", STREAMS, batch_size=1).measured
    assert one.throughput_per_s is not None
    assert one.throughput_per_s > 1.5 * 1000 / (sum(one.latencies_ms) / len(one.latencies_ms))


def test_a_profile_is_kept_beside_the_times() -> None:
    found = read("trtexec", TIMES, PROFILE)
    (one,) = found.measured
    assert one.requests == 40
    assert [layer["averageMs"] for layer in one.detail["layers"]] == [0.1025, 1.865]
    assert [file.name for file in found.imported.files] == ["times_fp32.json", "profile.json"]
    assert set(missing(found)) == {"blocks", "proof", "device"}


def test_several_files_of_times_are_repetitions_in_their_order() -> None:
    first, second = read("trtexec", TIMES, STREAMS).measured
    assert (first.requests, second.requests) == (40, 30)


def test_trtexec_measures_gpus() -> None:
    assert read("trtexec", TIMES, device_kind="").measured[0].place.device_kind == "cuda"
    with pytest.raises(InputError, match="device_kind=cpu is said, and the file tells of 'cuda'"):
        read("trtexec", TIMES, device_kind="cpu")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (TIMES.read_bytes()[:500], "no whole JSON"),
        (b"", "no whole JSON"),
        (b"[]", "no list of inferences"),
        (b'{"traceEvents": []}', "no list of inferences"),
        (b'[{"latencyMs": 1.0}]', "inference 1 has no startH2dMs"),
        (b'[{"count": 3}]', "no layer"),
        (b'[{"count": 3}, {"averageMs": 1}]', "layer 1 has no name"),
        (b'[{"count": 3}, {"name": "conv", "averageMs": -1}]', "which cannot be"),
        (b'[{"count": 3}, {"name": "conv", "averageMs": 1}]', "this is a profile"),
        (b"\xff\xfe[]", "no text in UTF-8"),
        (b"[" * 100_000, "nested without end"),
        (b"[" * 70 + b"]" * 70, "nested more than 64 deep"),
        (b'[{"latencyMs": NaN}]', "NaN"),
        (b'[{"latencyMs": 1e999}]', "too large"),
        (b'[{"latencyMs": 1, "latencyMs": 2}]', "a key stands twice"),
        (b'[{"count": 1}, {"name": "\\ud800", "averageMs": 1}]', "no whole JSON"),
    ],
)
def test_what_is_no_export_is_refused_with_the_command_that_writes_one(
    tmp_path: Path, content: bytes, what: str
) -> None:
    with pytest.raises(InputError, match=what) as caught:
        read("trtexec", write(tmp_path, "other.json", content))
    assert caught.value.where.endswith("other.json")
    assert "--export" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"latencyMs": -1}, "inference 2: latencyMs is -1"),
        ({"latencyMs": "1"}, "latencyMs is no number: '1'"),
        ({"latencyMs": True}, "latencyMs is no number"),
        ({"latencyMs": 10**400}, "which cannot be"),
        ({"endD2hMs": 50}, "inference 2 ends before it begins"),
    ],
)
def test_numbers_that_cannot_be_are_named(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        read("trtexec", times(tmp_path, inference(100, 1), inference(101, 1, **change)))


def test_no_time_at_all_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="begin at 0 ms and end at 0 ms"):
        read("trtexec", times(tmp_path, dict.fromkeys(inference(0, 0), 0)))


def test_a_pipe_and_a_folder_are_no_files(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(InputError, match="it is no file"):
            read("trtexec", path)
    with pytest.raises(InputError, match="there is no"):
        read("trtexec", tmp_path / "none.json")


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(3 * 2**30)  # without taking the space
    with pytest.raises(InputError, match="at most 134,217,728 are read"):
        read("trtexec", huge)
