"""CSV and JSON: for other programs, of which spreadsheets execute text."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from rich_report import change_trial, claims, published, report, stored

from bench.report import json_form, tables_csv
from bench.report.data import Report, build
from bench.stored import read_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report(tmp_path_factory.mktemp("tables") / "a-run")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_verdict_is_a_row(made: Report) -> None:
    found = rows(tables_csv.verdicts_csv(made))
    wanted = [verdict for entry in made.entries for verdict in entry.verdicts]
    assert [(row["claim"], row["verdict"], row["reason"]) for row in found] == [
        (verdict.claim, verdict.verdict, verdict.reason) for verdict in wanted
    ]
    for row, verdict in zip(found, wanted, strict=True):
        assert row["speedup"] == (str(verdict.speedup.estimate) if verdict.speedup else "")
        assert row["judged_low"] == (str(verdict.judged.low) if verdict.judged else "")


def test_every_cell_is_a_row(made: Report) -> None:
    found = rows(tables_csv.cells_csv(made))
    assert [(row["partition"], row["optimization"]) for row in found] == [
        (cell.row.partition, cell.row.optimization) for cell in made.runs[0].cells
    ]
    assert all(len(row) == len(tables_csv.CELLS) and None not in row for row in found)
    assert found[0]["p50_ms"] == "1.0" and found[0]["p99_ms"] == "" and found[0]["per_tenant_per_s"] != ""
    limits = {(row["partition"], row["optimization"]): (row["limit_share"], row["limit_of"]) for row in found}
    assert limits["full", "fp32"] == ("0.2", "memory")
    assert float(limits["full", "int8_ort"][0]) > 0.4 and limits["full", "int8_ort"][1] == "fp32"
    assert limits["time_shared", "int8_ort"] == ("", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_formulas_are_made_text(tmp_path: Path, start: str) -> None:
    evil = f"{start}cmd|'/c calc'!A1"
    found = stored(tmp_path / "run", blocks=1, workload=evil, device=evil)
    for number in range(7):
        change_trial(found.folder, number, workload=evil, device=evil)
    made = build({evil: claims()["holds"]}, [read_run(found.folder)], {})
    for text in (tables_csv.verdicts_csv(made), tables_csv.cells_csv(made)):
        cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
        assert f"'{evil}" in cells
        assert not [cell for cell in cells if cell.startswith(tables_csv.FORMULA) and not _is_number(cell)]


@given(st.text() | st.integers() | st.floats() | st.none())
def test_only_text_is_changed(value: tables_csv.Value) -> None:
    made_safe = tables_csv.safe(value)
    if isinstance(value, str):
        assert str(made_safe).removeprefix("'") == value.removeprefix("'")
        assert not str(made_safe).startswith(tables_csv.FORMULA)
    else:
        assert made_safe is value


def test_json_is_valid_and_whole(made: Report) -> None:
    content = json.loads(json.dumps(json_form.to_json(made), allow_nan=False))
    assert [claim["claim"] for claim in content["claims"]] == [entry.name for entry in made.entries]
    assert len(content["verdicts"]) == sum(len(entry.verdicts) for entry in made.entries)
    (run,) = content["runs"]
    assert len(run["cells"]) == 7 and len(run["noise_floors"]) == 1
    assert run["infeasible"][0]["reason"] == "there is no NVIDIA GPU"
    assert content["published"] == {name: source.model_dump(mode="json") for name, source in published().items()}


@given(st.recursive(st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.tuples(inner, inner)))
def test_what_is_no_number_is_null(value: object) -> None:
    json.dumps(json_form.finite(value), allow_nan=False)


def test_numbers_stay_what_they_are() -> None:
    assert json_form.finite({"a": (1.5, math.nan, [math.inf, 2])}) == {"a": [1.5, None, [None, 2]]}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
