"""A history as a page, as JSON and in the terminal."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_nights import night, nights
from pages import Page

from bench.judge.history.changes import Shift
from bench.judge.history.history import History, history
from bench.report.history import page as history_page
from bench.report.history import words as history_words
from bench.report.history.console import print_history
from bench.report.history.json_form import to_json
from bench.stored import SetAside, StoredRun

HOSTILE = "\"'>]]></style></script><script>alert(1)</script>{{7*7}}"


@pytest.fixture(scope="module")
def runs() -> list[StoredRun]:
    """Sixty nights: int8_ort slower from the 30th on, and the last night of it off."""
    made = nights(59, {30: 0.95}, commit=["aaa"] * 30 + ["bbb"] * 29)
    return [*made, night(59, {"fp32": 100.0, "int8_ort": 850.0})]


@pytest.fixture(scope="module")
def told(runs: list[StoredRun]) -> History:
    return history([SetAside("20250101", "its plan cannot be read"), *runs])


def test_the_page_tells_the_shift_and_what_coincides(told: History) -> None:
    page = Page(history_page.render(told))
    (table,) = [table for table in page.all("table") if table.attributes.get("id") == "shift-table"]
    assert "2026-01-31" in table.text and "bench's commit aaa → bbb" in table.text and "slower" in table.text
    assert "1 shift in 1 of 2 series over 60 runs, 1 for the worse" in page.all("h1")[0].text
    (chart,) = [svg for svg in page.all("svg") if svg.attributes.get("class") == "chart"]
    assert "1: −" in chart.text and "possible" in chart.text
    assert "slower" in chart.text, "the description tells it to those who do not see it"
    assert "its plan cannot be read" in page.source
    (quiet,) = [section for section in page.all("section") if section.attributes["id"] == "quiet"]
    assert "fp32" in quiet.text and "int8_ort" not in quiet.text


def test_links_and_ids_fit(told: History) -> None:
    page = Page(history_page.render(told))
    ids = page.ids()
    assert len(ids) == len(set(ids))
    links = [link.attributes["href"] for link in page.all("a")]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)


def test_the_page_is_the_same_for_the_same_data(told: History, runs: list[StoredRun]) -> None:
    again = history([SetAside("20250101", "its plan cannot be read"), *reversed(runs)])
    assert history_page.render(told) == history_page.render(again)


def test_nothing_that_a_run_says_becomes_markup(runs: list[StoredRun]) -> None:
    hostile = []
    for run in runs:
        description = json.loads(json.dumps(run.description).replace("aaa", "\\u0000aaa<b>"))
        description["fingerprint"]["environment"] = {HOSTILE: HOSTILE + str(run.name > "20260131")}
        plan = run.plan.model_copy(update={"device": HOSTILE, "workload": HOSTILE})
        hostile.append(
            replace(run, folder=Path(run.name + HOSTILE.replace("/", "")), plan=plan, description=description)
        )
    page = Page(history_page.render(history(hostile)))
    assert len(page.all("script")) == 1 and not page.all("b")
    assert "{{7*7}}" in page.all("h1")[0].text + page.all("dl")[0].text and "49" not in page.all("dl")[0].text
    policy = next(meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes)
    assert policy.startswith("default-src 'none'")


def test_many_series_are_drawn_up_to_a_limit_and_counted(told: History, monkeypatch: pytest.MonkeyPatch) -> None:
    shifted, quiet = told.changes[0][0], told.series[0]
    many = replace(told, series=(*[replace(shifted) for _ in range(3)], *[replace(quiet) for _ in range(30)]))
    for name in ("MOST_CHANGES", "MOST_PICTURES", "MOST_QUIET"):
        monkeypatch.setattr(history_page, name, 2)
    page = Page(history_page.render(many))
    assert len([svg for svg in page.all("svg") if svg.attributes.get("class") == "chart"]) == 2
    assert "And 1 older shift, in history.json." in page.source
    assert "And 1 series with shifts" in page.source
    assert "And 28 series more" in page.source
    (details,) = page.all("details")
    assert "30 series in which nothing shifted" in details.text


def test_a_calm_history_says_so_and_is_drawn_all_the_same() -> None:
    calm = history([night(n, {"fp32": 100.0, "int8_ort": 900.0 + n % 3}) for n in range(12)])
    page = Page(history_page.render(calm))
    assert page.all("h1")[0].text == "No shift in 2 series over 12 runs"
    assert len([svg for svg in page.all("svg") if svg.attributes.get("class") == "chart"]) == 2


def test_a_single_run_says_that_it_is_too_few() -> None:
    source = history_page.render(history([night(0, {"fp32": 100.0, "int8_ort": 900.0})]))
    assert "1 run: shifts are looked for from 8 on" in source
    assert "2 series of at most 1 run: shifts are looked for from 8 runs on" in source


def test_odd_runs_stand_at_the_edge_and_tell_their_value(runs: list[StoredRun]) -> None:
    odd = [*runs[:20], night(20, {"fp32": 100.0, "int8_ort": 300.0}), *runs[21:]]
    page = Page(history_page.render(history(odd)))
    (arrow,) = [text for text in page.all("text") if text.text == "▾"]
    assert arrow.attributes["class"] == "odd"
    assert "20260121-020000-nightly: 300 items/s, 6 of 6 blocks valid" in page.source


def test_json_has_points_and_changes(told: History) -> None:
    found = json.loads(json.dumps(to_json(told), allow_nan=False))
    by_name = {series["optimization"]: series for series in found}
    assert len(by_name["fp32"]["points"]) == 60 and by_name["fp32"]["changes"] == []
    (change,) = by_name["int8_ort"]["changes"]
    assert change["run"] == "20260131-020000-nightly" and change["direction"] == "slower"
    assert change["low"] < change["ratio"] < change["high"] < 1
    assert change["coincides_with"] == [{"name": "bench's commit", "before": "aaa", "after": "bbb"}]
    assert by_name["int8_ort"]["possible"]["more_runs_needed"] >= 1
    levels = by_name["int8_ort"]["levels"]
    assert [level["runs"] for level in levels] == [30, 30]


def test_the_terminal_tells_the_same(told: History, capsys: pytest.CaptureFixture[str]) -> None:
    print_history(told)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 shift in 1 of 2 series over 60 runs" in said
    assert "bench's commit aaa → bbb" in said and "20260131-020000-nightly" in said
    assert "possible: int8_ort on full" in said


def test_a_shift_of_few_runs_says_so_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    young = history(nights(64, {60: 0.97}))
    page = Page(history_page.render(young))
    (table,) = [table for table in page.all("table") if table.attributes.get("id") == "shift-table"]
    assert "recent: only 4 runs so far" in table.text
    assert "larger than they are" in table.text, "sizes are of those that were found"
    print_history(young)
    assert "recent: only 4 runs" in " ".join(capsys.readouterr().out.split())
    by_name = {series["optimization"]: series for series in to_json(young)}
    assert [change["recent"] for change in by_name["int8_ort"]["changes"]] == [True]
    old = history(nights(64, {30: 0.97}))
    assert "recent:" not in history_page.render(old)


def test_sizes_are_percents_or_factors_with_words_by_metric(told: History) -> None:
    _, change = told.changes[0]
    assert re.fullmatch(r"−\d\.\d % \[−\d\.\d, −\d\.\d\]", history_words.size(change))
    large = replace(change, shift=Shift(30, 3.0, 2.9, 3.1, 30, 30), better=True)
    assert history_words.size(large) == "3x [2.9, 3.1]"
    assert history_words.direction("energy", change) == "more energy for each item"
    assert history_words.direction("p99", large) == "shorter p99"
