"""The section on neighbours: in every form, only where there is something, and whatever a record says stays text."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arranged_runs import Truth, arranged_run, listed
from made_up_runs import write
from markdown_it import MarkdownIt
from pages import Page
from rich_report import report

from bench.judge.interference import Interference, Mixed, interference
from bench.report import html, json_form, markdown, tables_csv
from bench.report.console_neighbours import MOST_LINES, print_brief
from bench.report.data import Report, build
from bench.report.sections.neighbours import sentences, tables
from bench.stored import StoredRun, read_run

TRUTH = Truth({("time_shared", "compute_hog"): 1.9, ("cpuset", "compute_hog"): 1.02}, {"process": 1.0, "box": 0.9})
NEIGHBOURS = ("same", "alone", "compute_hog")
EVIL = "</script><img src=x onerror=alert(1)> | [red]**a**[/red]\n# b {{ 7 * 7 }}"


def made(folder: Path, **fields: Any) -> Report:
    """As it is read from a folder."""
    told: dict[str, Any] = {"neighbours": NEIGHBOURS, "full": True, **fields}
    return build({}, [read_run(write(arranged_run(TRUTH, **told), folder))], {})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return made(tmp_path_factory.mktemp("neighbours") / "a-run")


def section(page: Page) -> list[str]:
    """Headings under which anything of neighbours stands."""
    return [element.text for element in page.all("h2") if element.text == "Neighbours"]


def rendered(text: str) -> Page:
    return Page(f"<main>{MarkdownIt('commonmark', {'html': True}).enable('table').render(text)}</main>")


def rows(page: Page) -> list[list[str]]:
    """Table rows as their cells."""
    found: list[list[str]] = []
    for element in page.elements:
        if element.name == "tr":
            found.append([])
        elif element.name in ("td", "th") and "tr" in element.parents:
            found[-1].append(element.text)
    return found


def test_it_says_in_words_what_neighbours_cost_and_who_protects() -> None:
    exact = Truth(TRUTH.slow_downs, TRUTH.isolations, spread=0)
    told = sentences(interference(arranged_run(exact, NEIGHBOURS, full=True)))
    assert (
        "fp32 beside compute_hog runs 1.020x [1.020, 1.020] slower on cpuset in box, 1.020x [1.020, 1.020] slower on "
        "cpuset, 1.900x [1.900, 1.900] slower on time_shared in box, 1.900x [1.900, 1.900] slower on time_shared; its "
        "p99 is longer by 1.020x [1.020, 1.020] on cpuset in box, 1.020x [1.020, 1.020] on cpuset, "
        "1.900x [1.900, 1.900] on time_shared in box, 1.900x [1.900, 1.900] on time_shared"
    ) in told
    assert "fp32 beside compute_hog slows down 0.537x [0.537, 0.537] as much on cpuset as on time_shared" in told
    assert "fp32 on cpuset beside compute_hog: box runs at 0.900x [0.900, 0.900] of process" in told
    assert "fp32 on cpuset alone: box runs at 0.900x [0.900, 0.900] of process" in told
    yields = (
        "fp32: 2 tenants on cpuset, all loaded at once, yield 2.000x [2.000, 2.000] of one full device (Jain 1.000)"
    )
    assert yields in told


def test_the_html_has_every_row_and_leads_to_it(found: Report) -> None:
    page = Page(html.render(found))
    assert section(page) == ["Neighbours"]
    assert any(element.attributes.get("href") == "#run1-neighbours" for element in page.all("a"))
    assert "run1-neighbours" in page.ids() and len(page.ids()) == len(set(page.ids()))
    for table in tables(found.runs[0].neighbours):
        for row in table.rows:
            assert list(row) in rows(page)
    for sentence in sentences(found.runs[0].neighbours):
        assert sentence in [element.text for element in page.all("li")]


def test_markdown_has_the_same(found: Report) -> None:
    page = rendered(markdown.render(found))
    assert "Neighbours" in [element.text for element in page.all("h3")]
    for table in tables(found.runs[0].neighbours):
        assert f"{table.title}. {table.caption}" in page.shown
        for row in table.rows:
            assert list(row) in rows(page)
    assert [e.text for e in page.all("li")][-len(sentences(found.runs[0].neighbours)) :] == sentences(
        found.runs[0].neighbours
    )


def test_each_cell_of_the_csv_has_what_belongs_to_it(found: Report) -> None:
    told = list(csv.DictReader(io.StringIO(tables_csv.cells_csv(found), newline="")))
    assert all(len(row) == len(tables_csv.CELLS) and None not in row for row in told)
    cells = {(row["division"], row["isolation"], row["neighbours"]): row for row in told}
    assert len(cells) == len(told) == 14
    neighbours = found.runs[0].neighbours
    for beside in neighbours.beside:
        row = cells[beside.division, beside.isolation, beside.neighbours]
        assert beside.slow_down is not None and beside.p99.inflation is not None
        assert row["slow_down"] == str(beside.slow_down.estimate)
        assert row["slow_down_high"] == str(beside.slow_down.high) and row["slow_down_pairs"] == "10"
        assert row["p99_inflation_low"] == str(beside.p99.inflation.low)
    (hog, box, alone) = (
        cells["cpuset", *rest] for rest in (("process", "compute_hog"), ("box", "alone"), ("process", "alone"))
    )
    assert hog["neighbours_per_s"] == "7.0" and hog["all_against_full"] == hog["against_process"] == ""
    assert float(box["against_process"]) == pytest.approx(0.9, rel=0.03)
    assert alone["slow_down"] == alone["against_process"] == ""
    assert float(cells["cpuset", "box", "same"]["all_against_full"]) == pytest.approx(2, rel=0.05)


def test_the_json_has_all_of_it(found: Report) -> None:
    (run,) = json.loads(json.dumps(json_form.to_json(found), allow_nan=False))["runs"]
    assert {part: len(content) for part, content in run["neighbours"].items()} == {
        "beside": 8, "together": 4, "protection": 2, "isolated": 7, "mixed": 0,
    }  # fmt: skip
    assert set(run["neighbours"]["protection"][0]["ratio"]) == {"estimate", "low", "high", "pairs"}


def test_a_run_without_neighbours_has_no_such_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = report(tmp_path / "a-run")
    page = Page(html.render(plain))
    assert not section(page) and "run1-neighbours" not in page.ids()
    assert "Neighbours" not in markdown.render(plain)
    print_brief(plain.runs[0].neighbours)
    assert capsys.readouterr().out == ""


def test_the_terminal_is_told_briefly(found: Report, capsys: pytest.CaptureFixture[str]) -> None:
    print_brief(found.runs[0].neighbours)
    lines = capsys.readouterr().out.splitlines()
    told = sentences(found.runs[0].neighbours)
    assert len(told) > MOST_LINES
    assert lines[:MOST_LINES] == told[:MOST_LINES]
    assert lines[MOST_LINES] == f"and {len(told) - MOST_LINES} more: bench report"
    assert lines[-1].startswith("slower: ")


def test_what_no_block_tells_is_a_dash_and_no_sentence(tmp_path: Path) -> None:
    run = arranged_run(TRUTH, ("alone", "compute_hog"), blocks=2, requests=100)
    lost = tuple(t.model_copy(update={"status": "invalid"}) if t.division == "cpuset" else t for t in run.trials)
    path = write(StoredRun(run.folder, {}, run.plan, lost), tmp_path / "a-run")
    made = build({}, [read_run(path)], {})
    (table, *_) = tables(made.runs[0].neighbours)
    by_place = {tuple(row[:2]): row[5:] for row in table.rows}
    assert by_place["cpuset", "process"] == ("–", "0", "–", "–")
    assert by_place["time_shared", "process"][2] == "too few (100 of 5,000)"
    assert not [told for told in sentences(made.runs[0].neighbours) if "cpuset" in told or "p99" in told]
    assert Page(html.render(made)) and markdown.render(made)


def test_one_block_is_told_without_an_interval(tmp_path: Path) -> None:
    made_of_one = made(tmp_path / "a-run", blocks=1)
    told = sentences(made_of_one.runs[0].neighbours)
    assert told and not [sentence for sentence in told if "[" in sentence]
    assert Page(html.render(made_of_one))


def test_listed_tenants_are_shown(tmp_path: Path) -> None:
    run = listed(arranged_run(TRUTH, ("same",), divisions=["time_shared"]), (5.0, 6.0), "time_shared")
    path = write(run, tmp_path / "a-run")
    made = build({}, [read_run(path)], {})
    page = rendered(markdown.render(made))
    assert "the others 11 requests/s; compared with nothing" in page.shown
    assert "All loaded at once" not in page.shown


def test_hostile_names_would_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records cannot hold such names; the forms do not rely on that."""
    evil = made(tmp_path / "a-run")
    (run,) = evil.runs
    before = Page(html.render(evil))
    spoiled = {part: [_spoiled(row) for row in getattr(run.neighbours, part)] for part in vars(run.neighbours)}
    mixed = [Mixed("=1+1", EVIL, 1.0, 2.0)]
    evil = replace(evil, runs=[replace(run, neighbours=Interference(**(spoiled | {"mixed": mixed})))])
    page, text = Page(html.render(evil)), rendered(markdown.render(evil))
    assert not page.all("img") and len(page.all("script")) == len(before.all("script"))
    assert page.shown.count("<img src=x onerror=alert(1)>") > 10 and "{{ 7 * 7 }}" in page.shown
    assert not text.all("img") and len(text.all("strong")) == 1 + len(tables(evil.runs[0].neighbours))
    assert len(text.all("h1")) == 1 and text.shown.count("<img src=x onerror=alert(1)>") > 10
    print_brief(evil.runs[0].neighbours)
    assert "[red]**a**[/red]" in capsys.readouterr().out
    json.dumps(json_form.to_json(evil), allow_nan=False)


def _spoiled(row: Any) -> Any:
    return replace(row, optimization=EVIL)
