"""`bench import` as its users call it, and what verify and report say of it afterwards."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import Forked
from harness import lines, read_table, run_folders, three_lines
from made_up_runs import accuracy, faster, plan, run, write
from read_files import DATA

FP32, INT8, STREAMS = (DATA / "trtexec" / f"times_{name}.json" for name in ("fp32", "int8", "two_streams"))
SAID = ("workload=resnet50", "scenario=offline", "device=made-up GPU", "batch_size=8")
INT8_CLAIM = "claims=[quantization-int8]"


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


def imported(bench: Forked, here: Path, file: Path, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    return bench("import", "trtexec", str(file), *SAID, f"optimization={name}", *more, cwd=here)


@pytest.fixture(scope="module")
def two_cells(bench: Forked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two cells, imported one after the other."""
    here = tmp_path_factory.mktemp("two_cells")
    assert imported(bench, here, FP32, "fp32").returncode == 0
    (found,) = run_folders(here / "results")
    result = imported(bench, here, INT8, "tensorrt_int8", "--into", str(found))
    assert result.returncode == 0, result.stderr
    return found


@pytest.fixture
def folder(two_cells: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(two_cells, tmp_path / "results" / two_cells.name)


def verdict(bench: Forked, folder: Path, claims: str = INT8_CLAIM, *more: str) -> dict[str, Any]:
    result = bench("verify", "--json", str(folder), claims, *more, cwd=folder)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)
    found: dict[str, Any] = row
    return found


def test_a_verdict_is_inconclusive_for_want_of_quality_evidence_and_blocks(bench: Forked, folder: Path) -> None:
    row = verdict(bench, folder)
    assert row["verdict"] == "inconclusive"
    assert row["reason"].startswith("no quality evidence, no interleaved blocks, no proof of the precision that ran")
    assert "trtexec" in row["reason"]
    assert row["counted"]
    assert row["speedup"]["estimate"] == pytest.approx(2.85, abs=0.05)
    assert row["speedup"]["low"] is row["speedup"]["high"] is row["judged"] is None


def test_repetitions_make_no_interval_and_no_decision(bench: Forked, folder: Path, tmp_path: Path) -> None:
    for file, name in ((FP32, "fp32"), (INT8, "tensorrt_int8")):
        again = [tmp_path / f"{name}-{count}.json" for count in range(12)]  # more than a first look has blocks
        for count, path in enumerate(again, start=1):
            path.write_text(file.read_text() + "\n" * count)  # another file, of the same figures
        result = imported(bench, tmp_path, again[0], name, *map(str, again[1:]), "--into", str(folder))
        assert result.returncode == 0, result.stderr
    row = verdict(bench, folder)
    assert (row["verdict"], row["speedup"]["pairs"], row["speedup"]["low"]) == ("inconclusive", 13, None)
    made = json.loads((folder / "plan.json").read_text())
    made |= {"looks": [10], "look_level": 0.05}  # whoever writes that into the plan gets no verdict by it
    (folder / "plan.json").write_text(json.dumps(made))
    assert verdict(bench, folder)["verdict"] == "inconclusive"


def test_a_claim_without_a_bound_on_quality_does_not_ask_for_it(bench: Forked, folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / "claims"
    own.mkdir(parents=True)
    claim = "{mine: {title: t, source: {document: d}, reading: at_least, low: 2, treatments: [tensorrt_int8]}}"
    (own / "mine.yaml").write_text(claim)
    row = verdict(bench, folder, "claims=[mine]", "--config-dir", str(own.parent))
    assert row["verdict"] == "inconclusive" and row["reason"].startswith("no interleaved blocks")


def test_a_gate_finds_nothing_decided(bench: Forked, folder: Path) -> None:
    assert bench("verify", "--gate", str(folder), INT8_CLAIM, cwd=folder).returncode == 4


def test_the_report_says_what_is_missing(bench: Forked, folder: Path, tmp_path: Path) -> None:
    result = bench("report", str(folder), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "set aside" not in result.stderr
    page = (tmp_path / result.stdout.strip()).read_text()
    warning = "Measured by trtexec, not by bench; not told: interleaved blocks, proof of what ran"
    assert warning in page and warning in (tmp_path / f"reports/{folder.name}.md").read_text()
    assert "imported from another tool; measured on a GPU" in page
    assert "it is missing" not in page  # of telemetry that nobody took
    assert "95 % interval. p99" not in page


def test_it_is_a_run_like_others(folder: Path) -> None:
    made = json.loads((folder / "plan.json").read_text())
    assert (made["protocol"], made["look_level"], made["blocks"], made["baseline"]) == ("imported", None, 1, "fp32")
    assert [file["name"] for file in made["imported"]["files"]] == ["times_fp32.json", "times_int8.json"]
    assert set(made["imported"]["missing"]) == {"blocks", "proof", "device", "quality", "telemetry"}
    first, second = lines(folder)
    assert (first["id"], second["id"]) == ("001-01-full-fp32", "001-02-full-tensorrt_int8")
    assert first["quality"] is None and first["telemetry"] == {} and first["proof"] == {}
    samples = read_table(folder / "samples" / f"{first['id']}.parquet")
    assert len(samples["latency_ns"]) == first["requests"] == 40
    assert samples["end_ns"] == sorted(samples["end_ns"])


def refused(bench: Forked, here: Path, file: Path, *words: str) -> tuple[str, str, str]:
    before = {path: path.read_bytes() for path in here.rglob("*.json*")}
    result = bench("import", "trtexec", str(file), *words, cwd=here)
    assert result.returncode == 2, result.stdout
    assert before == {path: path.read_bytes() for path in here.rglob("*.json*")}
    return three_lines(result.stderr)


def test_what_does_not_belong_into_the_run_is_refused(bench: Forked, folder: Path, tmp_path: Path) -> None:
    into, name = ("--into", str(folder)), "optimization=int8"
    what, _, _ = refused(bench, tmp_path, INT8, *SAID, name, *into)
    assert "times_int8.json is the same file as times_int8.json" in what
    what, _, _ = refused(bench, tmp_path, STREAMS, *SAID[:2], "device=other GPU", SAID[3], name, *into)
    assert "of device 'made-up GPU', and the files are of 'other GPU'" in what
    what, _, hint = refused(bench, tmp_path, STREAMS, *SAID[:3], "batch_size=4", "optimization=fp32", *into)
    assert "with 8 items a request" in what and "name the second otherwise" in hint
    csv = DATA / "csv" / "results.csv"
    result = bench("import", "csv", str(csv), "map.throughput_per_s=img/s", *SAID, name, "device_kind=cuda", *into,
                   cwd=tmp_path)  # fmt: skip
    assert "this run is trtexec's, and the files are csv's" in three_lines(result.stderr)[0]
    measured = write(run(plan(), lambda p: {**faster({})(p), "quality": accuracy(100, 1, 1)}), tmp_path / "measured")
    what, _, _ = refused(bench, tmp_path, STREAMS, *SAID, name, "--into", str(measured))
    assert "this run was measured by bench" in what
    what, _, _ = refused(bench, tmp_path, STREAMS, *SAID, name, "--into", str(tmp_path / "none"))
    assert "plan cannot be read" in what


def test_an_import_is_not_resumed(bench: Forked, folder: Path) -> None:
    what, _, hint = three_lines(bench("run", "--resume", str(folder), cwd=folder).stderr)
    assert "imported from another tool" in what and "--into" in hint


def test_two_copies_in_one_call_count_once(bench: Forked, tmp_path: Path) -> None:
    what, _, _ = refused(bench, tmp_path, FP32, str(FP32), *SAID, "optimization=fp32")
    assert "the same file" in what
    assert not (tmp_path / "results").exists()


def test_an_import_that_was_broken_off_can_be_made_again(bench: Forked, folder: Path, tmp_path: Path) -> None:
    before = (folder / "plan.json").read_bytes()
    into = ("--into", str(folder))
    assert imported(bench, tmp_path, STREAMS, "fp32", *into).returncode == 0
    (folder / "plan.json").write_bytes(before)  # the kill came just before the plan
    assert imported(bench, tmp_path, STREAMS, "fp32", *into).returncode == 0
    ids = [line["id"] for line in lines(folder)]
    assert len(ids) == len(set(ids)) == 4
    rows = json.loads(bench("report", "--json", str(folder), cwd=tmp_path).stdout)["runs"][0]["cells"]
    assert {row["optimization"]: row["valid"] for row in rows} == {"fp32": 2, "tensorrt_int8": 1}


def test_what_nobody_tells_is_asked_for_and_never_made_up(bench: Forked, tmp_path: Path) -> None:
    what, _, hint = refused(bench, tmp_path, FP32, "workload=resnet50", "optimization=fp32")
    assert "neither the files nor the command tell: scenario, device, batch_size" in what
    assert 'device="NVIDIA A100-SXM4-40GB"' in hint
    for words, told in (
        (("batch_size=0",), "batch_size=0 is no whole number of at least 1"),
        (("batch_size=many",), "batch_size=many is no whole number"),
        (("workload=../../etc",), "workload='../../etc' is no name"),
        (("workload=a", "workload=b"), "workload= is said twice"),
        (("colour=red",), "has no option colour"),
        (("device=a\nb",), "is no name of a device"),
    ):
        kept = [word for word in SAID if word.partition("=")[0] != words[0].partition("=")[0]]
        what, _, _ = refused(bench, tmp_path, FP32, *kept, "optimization=fp32", *words)
        assert told in what


def test_the_tools_are_listed_with_what_they_read(bench: Forked, tmp_path: Path) -> None:
    result = bench("import", "list", cwd=tmp_path)
    assert result.returncode == 0
    assert "trtexec" in result.stdout and "--exportTimes" in result.stdout and "map.FIELD=" in result.stdout
    tools = {entry["tool"] for entry in json.loads(bench("import", "list", "--json", cwd=tmp_path).stdout)}
    assert {"trtexec", "onnxruntime-perf", "perf-analyzer", "nvbench", "csv", "loadgen"} <= tools
    what, _, hint = three_lines(bench("import", "sysbench", str(FP32), cwd=tmp_path).stderr)
    assert "'sysbench' is no tool" in what and "trtexec" in hint
    what, _, hint = three_lines(bench("import", "nvbench", cwd=tmp_path).stderr)
    assert "no file is named" in what and "--json" in hint


@pytest.mark.parametrize(
    ("tool", "file", "more"),
    [
        ("onnxruntime-perf", "onnxruntime_perf/arm_output.txt", ("device_kind=cpu", "optimization=int8")),
        ("perf-analyzer", "perf_analyzer/perf.csv", ("device_kind=cuda", "optimization=fp32", "concurrency=2")),
        ("perf-analyzer", "perf_analyzer/profile.json", ("device_kind=cuda", "optimization=fp32", "concurrency=2")),
        ("csv", "csv/results.csv", ("device_kind=cuda", "map.optimization=precision", "map.throughput_per_s=img/s")),
        ("nvbench", "nvbench/results.json", ("benchmark=copy", "batch_size=1")),
    ],
)
def test_every_tools_run_is_verified_and_reported(
    bench: Forked, tmp_path: Path, tool: str, file: str, more: tuple[str, ...]
) -> None:
    said = SAID[:3] if "batch_size=1" in more else SAID
    result = bench("import", "--json", tool, str(DATA / file), *said, *more, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["added"] == found["trials"] > 0
    assert bench("verify", found["run"], cwd=tmp_path).returncode == 0
    page = bench("report", found["run"], cwd=tmp_path)
    assert page.returncode == 0, page.stderr
    assert "set aside" not in page.stderr


def test_functions_that_are_no_versions_of_each_other_are_not_compared(bench: Forked, tmp_path: Path) -> None:
    """Neither in the table nor in the report; with an fp32 among them the others are."""
    sums = str(DATA / "pytest_benchmark" / "sums_1.json")
    result = bench("import", "pytest-benchmark", sums, "device_kind=cpu", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (found,) = run_folders(tmp_path / "results")
    assert "fp32  " not in result.stdout and not re.search(r"\d\.\d\dx", result.stdout)
    assert "speed-up: none, for this run has no baseline" in result.stdout
    assert "and there were 40." in result.stdout and "not told:" in result.stdout
    assert "every trial's latency" in result.stdout  # some have one
    rows = json.loads(bench("report", "--json", str(found), cwd=tmp_path).stdout)["runs"][0]["cells"]
    assert len(rows) == 4 and not any(row["speedup"] for row in rows)
    assert bench("report", str(found), cwd=tmp_path).returncode == 0
    (page,) = tmp_path.glob("reports/*.html")
    assert "No speed-up, for this run has no baseline" in page.read_text()
