"""What is finished is whole; what is not leaves nothing that looks finished."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import pytest
from harness import read_table
from hypothesis import HealthCheck, given, settings

from bench.errors import InputError, StoreError
from bench.records import TrialRecord
from bench.store import Run, read_trials


def record(number: int) -> TrialRecord:
    return TrialRecord(
        id=f"{number:03d}-01-full-native", block=number, position=1, workload="w", scenario="s", partition="full",
        optimization="native", tenants=1, device="d", device_kind="cpu", batch_size=1, status="failed", reason="é\n",
    )  # fmt: skip


def close(run: Run) -> None:
    run._lock.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, "run")
    run.write_json("run.json", {})
    run.write_json("plan.json", {})
    return run


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    names = [Run.create(tmp_path / "deep" / "results", "x").folder.name for _ in range(3)]
    assert names == ["x", "x-2", "x-3"]


def test_trials_come_back_as_they_were(run: Run) -> None:
    for number in range(5):
        run.append_trial(record(number))
    assert run.trials() == [record(number) for number in range(5)]


def test_tables_come_back_as_they_were(run: Run) -> None:
    run.write_samples("a", {"tenant": [0, 1], "latency_ns": [10, 20]})
    assert read_table(run.folder / "samples" / "a.parquet") == {"tenant": [0, 1], "latency_ns": [10, 20]}
    assert not list(run.folder.rglob("*.tmp"))


def test_only_one_process_holds_a_run(run: Run) -> None:
    code = f"from bench.store import Run; from pathlib import Path; Run.open(Path({str(run.folder)!r}))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process is writing this run" in other.stderr
    close(run)
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.returncode == 0, other.stderr


def test_two_runs_hold_two_folders(tmp_path: Path) -> None:
    one, other = Run.create(tmp_path, "x"), Run.create(tmp_path, "x")
    one.append_trial(record(1))
    assert other.trials() == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(whole=st.integers(0, 3), cut=st.floats(0, 1, exclude_max=True))
def test_a_torn_last_line_is_taken_back_and_no_whole_one(tmp_path: Path, whole: int, cut: float) -> None:
    run = Run.create(tmp_path, "run")
    run.write_json("run.json", {})
    run.write_json("plan.json", {})
    for number in range(whole):
        run.append_trial(record(number))
    line = record(99).model_dump_json().encode()
    with (run.folder / "trials.jsonl").open("ab") as file:
        file.write(line[: int(len(line) * cut)])
    assert len(run.trials()) == whole
    close(run)
    again = Run.open(run.folder)
    again.append_trial(record(whole))
    assert [trial.block for trial in again.trials()] == list(range(whole + 1))
    close(again)


def test_a_line_that_lacks_only_its_newline_is_not_finished(run: Run) -> None:
    (run.folder / "trials.jsonl").write_text(record(1).model_dump_json())
    assert run.trials() == []


@pytest.mark.parametrize("bad", ["garbage", "{}", '{"id": 3}', "", "null", "\x00\x00"])
def test_a_line_that_is_no_trial_is_named_with_its_number(run: Run, bad: str) -> None:
    run.append_trial(record(1))
    with (run.folder / "trials.jsonl").open("a") as file:
        file.write(bad + "\n")
    with pytest.raises(InputError) as caught:
        run.trials()
    assert "line 2" in caught.value.where


def test_what_a_kill_left_behind_is_cleared_and_nothing_else(run: Run) -> None:
    run.append_trial(record(1))
    finished = run.folder / "samples" / f"{record(1).id}.parquet"
    left = [
        run.folder / "samples" / f"{record(2).id}.parquet",
        run.folder / "samples" / f"{record(1).id}.parquet.tmp",
        run.folder / "telemetry" / f"{record(2).id}.parquet.tmp",
        run.folder / "cells.json.tmp",
    ]
    for path in (finished, *left):
        path.write_text("x")
    close(run)
    Run.open(run.folder)
    assert finished.exists()
    assert [path for path in left if path.exists()] == []


def test_a_failed_write_leaves_the_old_file_and_no_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write_json("cells.json", {"old": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.store._sync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        run.write_json("cells.json", {"new": 2})
    assert "--resume" in caught.value.hint
    assert run.read_json("cells.json") == {"old": 1}
    assert not list(run.folder.glob("*.tmp"))


def test_a_line_that_cannot_be_synced_is_taken_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.append_trial(record(1))

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", broken)
        with pytest.raises(StoreError, match="Input/output error"):
            run.append_trial(record(2))
    assert (run.folder / "trials.jsonl").read_bytes().endswith(b"\n")
    assert run.trials() == [record(1)]
    run.append_trial(record(3))
    assert run.trials() == [record(1), record(3)]


@pytest.mark.parametrize("present", ["nothing", "plan.json", "run.json"])
def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path: Path, present: str) -> None:
    if present != "nothing":
        (tmp_path / present).write_text("{}")
    with pytest.raises(InputError, match="not a run"):
        Run.open(tmp_path)


def test_json_files_are_readable_by_others(run: Run) -> None:
    run.write_json("cells.json", {"path": Path("/x"), "n": 1})
    assert json.loads((run.folder / "cells.json").read_text()) == {"path": "/x", "n": 1}


def test_a_run_without_trials_yet_has_none(tmp_path: Path) -> None:
    assert list(read_trials(tmp_path)) == []
