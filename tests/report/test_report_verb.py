"""`bench report` as its users call it."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import Forked
from harness import three_lines
from rich_report import stored

from bench.errors import StoreError
from bench.verbs import files


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return stored(tmp_path / "results" / "a-run").folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


FORMS = ["a-run-cells.csv", "a-run-verdicts.csv", "a-run.html", "a-run.md"]


def test_it_writes_four_files_and_prints_the_page(bench: Forked, folder: Path, tmp_path: Path) -> None:
    found = bench("report", "results/a-run", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (0, "reports/a-run.html\n"), found.stderr
    assert names(tmp_path / "reports") == FORMS
    assert sorted(Path(line).name for line in found.stderr.splitlines()) == FORMS


def test_without_arguments_the_newest_run_is_meant(bench: Forked, folder: Path, tmp_path: Path) -> None:
    assert bench("report", cwd=tmp_path).stdout == "reports/a-run.html\n"
    assert bench("report", ".", cwd=folder).stdout == "reports/a-run.html\n"


def test_as_json_it_prints_everything_and_still_writes(bench: Forked, folder: Path, tmp_path: Path) -> None:
    found = bench("report", "--json", "--output", "elsewhere", "claims=[quantization-int8]", cwd=tmp_path)
    content = json.loads(found.stdout, parse_constant=pytest.fail)
    assert [claim["claim"] for claim in content["claims"]] == ["quantization-int8"]
    assert names(tmp_path / "elsewhere") == FORMS


def test_several_runs_are_one_report(bench: Forked, folder: Path, tmp_path: Path) -> None:
    stored(tmp_path / "results" / "b-run", blocks=2)
    assert bench("report", "results", cwd=tmp_path).stdout == "reports/report-2-runs.html\n"


def test_a_second_time_the_same_bytes_replace_the_first(bench: Forked, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "reports" / "a-run.html"
    assert bench("report", cwd=tmp_path).returncode == 0
    first = page.read_bytes()
    page.write_text("old")
    assert bench("report", cwd=tmp_path).returncode == 0
    assert page.read_bytes() == first and names(page.parent) == FORMS


def test_a_name_that_is_no_file_name_is_made_one(bench: Forked, tmp_path: Path) -> None:
    stored(tmp_path / "-a <b>\n'c'", blocks=2)
    found = bench("report", "./-a <b>\n'c'", cwd=tmp_path)
    assert found.stdout == "reports/a_b_c_.html\n", found.stderr


def test_a_folder_that_cannot_be_made_is_three_lines(bench: Forked, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    found = bench("report", cwd=tmp_path)
    what, where, hint = three_lines(found.stderr)
    assert found.returncode == 2 and "cannot write" in what and "File exists" in what
    assert "reports" in where and "name a place" in hint


def test_a_full_disk_leaves_the_old_files_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"a.html": "old", "a.md": "old"}
    files.write(tmp_path, old)
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if ".a.md" in path.name:
            written(path, content[:1])
            raise OSError(errno.ENOSPC, "full")
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=re.escape("cannot write a.html, a.md: No space left on device")):
        files.write(tmp_path, dict.fromkeys(old, "new"))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == old


def test_what_cannot_be_encoded_is_replaced(tmp_path: Path) -> None:
    files.write(tmp_path, {"a.md": "a\ud800b"})
    assert (tmp_path / "a.md").read_text() == "a?b"
