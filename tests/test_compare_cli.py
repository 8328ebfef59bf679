"""`bench compare` as its users call it: on runs that nobody measured, and on real ones of the specimen."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from forked import Forked
from harness import SPECIMEN, UNWATCHED, run_bench, run_folders, three_lines
from made_up_runs import accuracy, plan, run, write

from bench.records import PlannedTrial

KEYS = {
    "outcome", "reason", "metric", "device", "workload", "scenario", "partition", "optimization", "ratio",
    "slow_down_share", "threshold", "base", "candidate", "base_units", "candidate_units", "assumed",
}  # fmt: skip
HOSTILE = "</failure><script>alert(1)</script> | [link](http://x) \x1b[31m \x00 \ufffe ]]>"


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


def store(folder: Path, name: str, slow_down: float = 0.0, **fields: Any) -> Path:
    """A run of one version, whose int8_ort is slower; `told`: what else its trials say."""
    told, description = fields.pop("told", {}), fields.pop("description", {})
    cells = fields.pop("cells", {"full": ("fp32", "int8_ort")})

    def measured(planned: PlannedTrial) -> Mapping[str, Any]:
        wobble = 0.004 * (-1 if planned.block % 2 else 1)
        slower = slow_down if planned.optimization == "int8_ort" else 0.0
        return {"throughput_per_s": 100 * math.exp(wobble - slower), **told}

    stored = run(plan(cells, **fields), measured)
    object.__setattr__(stored, "description", description)
    return write(stored, folder / name)


def rows(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    return found


def test_a_slower_candidate_fails_the_gate_and_is_named_everywhere(bench: Forked, tmp_path: Path) -> None:
    for night in range(3):
        store(tmp_path, f"nights/2026010{night + 1}-night", 0.001 * night)
    store(tmp_path, "now", math.log(1.1))
    written = ("--markdown", "out/summary.md", "--junit", "out/junit.xml")
    result = bench("compare", "nights", "now", *written, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.startswith("FAILED: 1 regressed, 1 not ")
    markdown = (tmp_path / "out" / "summary.md").read_text()
    first = next(line for line in markdown.splitlines() if line.startswith("| ✗ regressed"))
    assert "int8\\_ort" in first and "slower" in first and markdown.startswith("## FAILED")
    suite = ET.parse(tmp_path / "out" / "junit.xml").getroot()[0]
    (case,) = (case for case in suite.iter("testcase") if case.find("failure") is not None)
    assert (case.get("classname"), case.get("name")) == ("specimen.single_stream.full", "int8_ort throughput")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    as_json = bench("compare", "nights", "now", "--json", cwd=tmp_path)
    found = {row["optimization"]: row for row in rows(as_json.stdout)}
    assert all(row.keys() >= KEYS for row in found.values())
    slow = found["int8_ort"]
    assert (slow["outcome"], slow["base_units"], slow["candidate_units"]) == ("regressed", 3, 1)
    assert slow["ratio"]["low"] < slow["ratio"]["estimate"] < slow["ratio"]["high"] < 1
    assert (
        slow["slow_down_share"] == pytest.approx(0.1, rel=0.03)
        and slow["base"] == "20260101-night, 20260102-night, 20260103-night"
    )


def test_equal_runs_pass_where_the_threshold_can_be_shown(bench: Forked, tmp_path: Path) -> None:
    store(tmp_path, "old")
    store(tmp_path, "new", -0.001)
    assert bench("compare", "old", "new", "--threshold", "throughput=5%", cwd=tmp_path).returncode == 0
    result = bench("compare", "old", "new", cwd=tmp_path)  # 1 % cannot be shown between two days
    assert result.returncode == 4
    assert "assumed: runs of the same thing differ by 1 % from day to day" in result.stdout
    assert bench("compare", "old", "new", "--day-to-day", "0.1%", cwd=tmp_path).returncode == 0
    assert bench("compare", "old", "new", "--threshold=throughput=none", cwd=tmp_path).returncode == 4  # nothing left


def test_one_run_is_compared_with_what_was_measured_in_its_blocks(bench: Forked, tmp_path: Path) -> None:
    cells = {"full": ("fp32",), "full.container": ("fp32",)}
    both: dict[str, Any] = {"cells": cells, "against": {"container": "process"}}
    store(tmp_path / "results", "20261101-000000-x", **both)
    result = bench("compare", cwd=tmp_path)  # the newest
    assert (result.returncode, result.stderr) == (
        0,
        "",
    ) and "1 not regressed (this version against container)" in result.stdout
    store(tmp_path / "results", "20261102-000000-x", blocks=2, **both)
    assert bench("compare", "results/20261102-000000-x", cwd=tmp_path).returncode == 4
    refused = bench("compare", "results/20261101-000000-x", "--day-to-day=1%", cwd=tmp_path)
    assert refused.returncode == 2 and "measured in the same blocks" in refused.stderr


def test_what_differs_is_listed_and_blocks_nothing(bench: Forked, tmp_path: Path) -> None:
    store(tmp_path, "old", description={"fingerprint": {"commit": "aaa", "versions": {"torch": "2.12"}}})
    store(tmp_path, "new", description={"fingerprint": {"commit": "bbb", "versions": {"torch": "2.13"}}})
    result = bench("compare", "old", "new", "--threshold", "throughput=0.05", "--markdown", "s.md", cwd=tmp_path)
    assert result.returncode == 0
    assert "commit aaa → bbb" in result.stdout and "torch 2.12 → 2.13" in result.stdout
    assert "| torch | 2.12 | 2.13 |" in (tmp_path / "s.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("old",), ("nothing to be compared with", "--against")),
        (("old", "other"), ("measured on another machine", "on made-up device")),
        (("old", "rehearsed"), ("rehearsal", "no comparison")),
        (("rehearsed", "old"), ("rehearsal", "no comparison")),
        (("rehearsed",), ("rehearsal", "no comparison")),
        (("old", "old"), ("only run on both sides", "other runs")),
        (("old", "nosuch"), ("there is no nosuch", "results/2026")),
        (("old", "elsewhere"), ("measured another single_stream", "specimen single_stream")),
        (("old", "new", "--threshold", "speed=1%"), ("names no metric", "throughput, p99")),
        (("old", "new", "--threshold", "p99"), ("names no metric", "METRIC=SHARE")),
        (("old", "new", "--threshold", "p99=5"), ("'5' is no threshold", "2% or 0.02")),
        (("old", "new", "--threshold", "p99=nan"), ("'nan' is no threshold", "2% or 0.02")),
        (("old", "new", "--day-to-day", "often"), ("'often' is no share", "0.5%")),
        (("old", "new", "--markdown", "/dev/null"), ("is no ordinary file", "piped")),
        (("old", "new", "--junit", "old"), ("is no ordinary file", "piped")),
        (("old", "new", "--day-to-day", "100%"), ("'100%' is no share", "0.5%")),
    ],
)
def test_mistakes_are_told_in_three_lines(
    bench: Forked, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    for name in ("old", "new"):
        store(tmp_path, name)
    store(tmp_path, "rehearsed", rehearsal=True)
    store(tmp_path, "other", device="another machine")
    elsewhere = plan()
    trials = tuple(trial.model_copy(update={"workload": "another"}) for trial in elsewhere.trials)
    other = elsewhere.model_copy(update={"workload": "another", "trials": trials})
    write(run(other, lambda planned: {}), tmp_path / "elsewhere")
    result = bench("compare", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    what, _, hint = three_lines(result.stderr)
    assert all(word in f"{what} {hint}" for word in words)


def test_several_runs_alone_are_not_taken_for_one(bench: Forked, tmp_path: Path) -> None:
    for name in ("a", "b"):
        store(tmp_path, name)
    result = bench("compare", ".", cwd=tmp_path)
    what, _, hint = three_lines(result.stderr)
    assert result.returncode == 2 and "there are 2 runs" in what and "BASE runs before it" in hint


def test_in_a_folder_what_cannot_be_compared_is_set_aside(bench: Forked, tmp_path: Path) -> None:
    store(tmp_path, "all/a")
    store(tmp_path, "all/b", device="another machine")
    store(tmp_path, "all/c", rehearsal=True)
    (tmp_path / "all" / "d").mkdir()
    (tmp_path / "all" / "d" / "plan.json").write_text("{")
    now = store(tmp_path, "all/now")
    result = bench("compare", "all", str(now), "--json", "--threshold", "throughput=6%", cwd=tmp_path)
    assert result.returncode == 0 and {row["base"] for row in rows(result.stdout)} == {"a"}
    for word in ("b was measured on another device", "c is a rehearsal", "d: this run's plan cannot be read"):
        assert word in result.stderr


def test_a_workload_that_fell_out_of_a_folder_of_runs_keeps_the_gate_from_passing(
    bench: Forked, tmp_path: Path
) -> None:
    for night in ("old", "new"):
        store(tmp_path, f"{night}/specimen")
    gone = plan()
    trials = tuple(trial.model_copy(update={"workload": "gone"}) for trial in gone.trials)
    write(
        run(gone.model_copy(update={"workload": "gone", "trials": trials}), lambda planned: {}), tmp_path / "old/gone"
    )
    asked = ("compare", "--threshold", "throughput=6%", "--json", "old")
    lost = bench(*asked, "new", cwd=tmp_path)
    assert lost.returncode == 4
    assert {row["workload"] for row in rows(lost.stdout) if row["outcome"] == "not_enough_evidence"} == {"gone"}
    alone = bench(*asked, "new/specimen", cwd=tmp_path)  # one run is asked about its own workload
    assert alone.returncode == 0 and "set aside: 1 run of other workloads" in alone.stderr


def test_hostile_text_breaks_no_form(bench: Forked, tmp_path: Path) -> None:
    store(tmp_path, "old", description={"fingerprint": {"commit": HOSTILE}}, told={"quality": accuracy(10, 0, 0)})
    store(tmp_path, "new", told={"status": "failed", "reason": HOSTILE, "throughput_per_s": None},
          description={"fingerprint": {"commit": "b"}})  # fmt: skip
    result = bench("compare", "old", "new", "--junit", "j.xml", "--markdown", "s.md", cwd=tmp_path)
    assert result.returncode == 4 and "\x1b" not in result.stdout
    root = ET.parse(tmp_path / "j.xml").getroot()
    messages = [error.get("message", "") for error in root.iter("error")]
    assert any("<script>" in message and "\x00" not in message for message in messages)
    markdown = (tmp_path / "s.md").read_text()
    assert "<script" not in markdown and "\x1b" not in markdown and "[link](" not in markdown.replace("\\]", "")
    widths = {line.replace("\\|", "").count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {4, 10}  # what differs, and the series: no row is broken


def test_nothing_that_matches_is_not_a_pass(bench: Forked, tmp_path: Path) -> None:
    store(tmp_path, "old")
    store(tmp_path, "new")
    off = ("--threshold", "throughput=none", "--junit", "j.xml")
    assert bench("compare", "old", "new", *off, cwd=tmp_path).returncode == 4
    (case,) = ET.parse(tmp_path / "j.xml").getroot().iter("testcase")
    assert case.find("error") is not None


def test_files_that_cannot_be_written_are_told(bench: Forked, tmp_path: Path) -> None:
    store(tmp_path, "old")
    store(tmp_path, "new")
    (tmp_path / "file").write_text("")
    result = bench("compare", "old", "new", "--junit", "file/j.xml", cwd=tmp_path)
    assert result.returncode == 2 and "cannot write" in result.stderr


@pytest.mark.slow
def test_a_real_slow_down_of_a_tenth_is_found_between_two_runs(tmp_path: Path) -> None:
    for blocks, duration_ms in ((8, 10), (8, 11), (2, 11)):
        result = run_bench(
            "run", *SPECIMEN, *UNWATCHED, "protocol=standard", f"protocol.blocks={blocks}", "protocol.doublings=0",
            "protocol.noise_floor=false", "protocol.warmup_min_s=0.05", "protocol.window_s=0.2", "claims=[]",
            "workload.mode=sleep", f"workload.duration_ms={duration_ms}", cwd=tmp_path,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
    old, new, few = (str(folder) for folder in run_folders(tmp_path / "results"))
    slower = run_bench("compare", old, new, "--day-to-day=0.5%", cwd=tmp_path)
    assert slower.returncode == 1, slower.stdout
    assert "native" in slower.stdout and "configuration workload duration_ms 10 → 11" in slower.stdout
    (row,) = rows(run_bench("compare", old, new, "--day-to-day=0.5%", "--json", cwd=tmp_path).stdout)
    assert row["slow_down_share"] == pytest.approx(0.1, abs=0.05)
    faster = run_bench("compare", new, old, "--day-to-day=0.5%", cwd=tmp_path)
    assert faster.returncode == 0 and "faster" in faster.stdout
    open_still = run_bench("compare", old, few, cwd=tmp_path)
    assert open_still.returncode == 4 and "2 valid blocks, and 5 are the least" in open_still.stdout
