"""`bench history` over folders of runs, as its users call it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from made_up_nights import nights
from made_up_runs import write

from bench.cli import main

COMMITS = ["aaa"] * 40 + ["bbb"] * 22


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty nights of which int8_ort is 3 % slower from the 40th on, and two that do not count."""
    folder = tmp_path_factory.mktemp("nightly") / "results"
    for run in nights(62, {40: 0.97}, commit=COMMITS):
        write(run, folder / run.name)
    runs = sorted(folder.iterdir())
    (runs[5] / "plan.json").write_text('{"workload": "to')
    plan = json.loads((runs[9] / "plan.json").read_text())
    (runs[9] / "plan.json").write_text(json.dumps({**plan, "rehearsal": True}))
    return folder


def bench(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    code = ended.value.code
    assert isinstance(code, int)
    return code


def test_the_shift_is_told_with_its_commit(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("history", results, "--output", tmp_path / "reports") == 0
    said, beside = capsys.readouterr()
    assert "1 shift in 1 of 2 series over 60 runs, 1 for the worse" in said
    assert "bench's commit aaa → bbb" in said and "slower −" in said
    assert said.splitlines()[-1] == f"{tmp_path}/reports/history.html"
    assert "set aside: 20260106-020000-nightly: this run's plan cannot be read" in beside
    assert "set aside: 20260110-020000-nightly: it is a rehearsal" in beside
    page = (tmp_path / "reports" / "history.html").read_text()
    assert "20260210-020000-nightly" in page and str(tmp_path) not in page


def test_json_is_printed_and_stored(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("history", results, "--json", "--output", tmp_path) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "history.json").read_text()
    found = json.loads(printed)
    assert [len(series["points"]) for series in found] == [60, 60]
    (change,) = [change for series in found for change in series["changes"]]
    assert change["run"] == "20260210-020000-nightly" and change["coincides_with"][0]["name"] == "bench's commit"


def test_results_is_where_it_looks_unless_told(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(sorted(results.iterdir())[0], tmp_path / "results" / "one")
    monkeypatch.chdir(tmp_path)
    assert bench("history") == 0
    said = capsys.readouterr().out
    assert "Too few runs yet to see shifts: 2 series over 1 run" in said
    assert "2 series of at most 1 run: shifts are looked for from 8 runs on" in said
    assert (tmp_path / "reports" / "history.html").exists()


def test_without_a_run_it_says_what_to_do(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("history", tmp_path / "nowhere") == 2
    assert "there is no " in capsys.readouterr().err
    assert bench("history", tmp_path) == 2
    assert "there is no run in" in capsys.readouterr().err
    assert bench("history", sorted(results.iterdir())[9], "--output", tmp_path) == 2
    said = capsys.readouterr().err
    assert "it is a rehearsal" in said and "no run here can be used" in said and "hint:" in said
    assert not (tmp_path / "history.html").exists()
