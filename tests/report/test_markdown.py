"""The Markdown form: the answer and the tables, and whatever a record says stays text."""

from __future__ import annotations

import html
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import example, given
from markdown_it import MarkdownIt
from pages import Page
from rich_report import SPOILED, change_trial, claims, published, report, stored

from bench.printable import printable
from bench.report import markdown
from bench.report.data import build
from bench.stored import read_run

EVIL = "<img src=x onerror=alert(1)> | [a](http://evil) `code` **bold** @someone #1\n| new | row |\n\n# heading"


def rendered(text: str) -> Page:
    """As a reader of Markdown, with HTML allowed, makes it."""
    return Page(f"<main>{MarkdownIt('commonmark', {'html': True}).enable('table').render(text)}</main>")


def test_the_answer_comes_first_and_everything_is_there(tmp_path: Path) -> None:
    text = markdown.render(report(tmp_path / "a-run"))
    page = rendered(text)
    assert [element.text for element in page.all("h1")] == ["specimen, single_stream"]
    assert text.index("put to") < text.index("## Verdicts") < text.index("To repeat it")
    titles = [element.text for element in page.elements if element.name in ("h2", "h3")]
    assert titles == [
        "Verdicts", "On the hardware that the claims speak of", "On other hardware, not counted", "Not testable here",
        "specimen, single_stream on made-up device",
    ]  # fmt: skip
    assert "measured on a CPU, no GPU" in page.shown
    assert SPOILED in page.shown and "there is no NVIDIA GPU" in page.shown


def test_every_verdict_and_cell_has_its_row(tmp_path: Path) -> None:
    made = report(tmp_path / "a-run")
    page = rendered(markdown.render(made))
    rows = [element.text for element in page.all("tr")]
    for entry in made.entries:
        assert any(entry.name in row for row in rows)
    verdicts = [v for e in made.entries for v in e.verdicts if v.run or v.evidence != "none"]
    assert all(any(verdict.reason in row for row in rows) for verdict in verdicts)
    assert sum("10/10" in row for row in rows) == 6


def test_rows_have_as_many_cells_as_their_heads(tmp_path: Path) -> None:
    lines = markdown.render(report(tmp_path / "a-run")).splitlines()
    for number, line in enumerate(lines):
        if set(line) <= set("|-: ") and "---" in line:
            width = line.count("|")
            for row in lines[number - 1 :]:
                if not row.startswith("|"):
                    break
                assert row.replace("\\|", "").count("|") == width


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    found = stored(tmp_path / "run", workload=EVIL, device=EVIL)
    for number in range(70):
        change_trial(found.folder, number, workload=EVIL, device=EVIL, status="invalid", reason=EVIL)
    asked = {EVIL: claims()["holds"].model_copy(update={"title": EVIL})}
    plain = rendered(markdown.render(report(tmp_path / "plain")))
    page = rendered(markdown.render(build(asked, [read_run(found.folder)], published())))
    assert {element.name for element in page.elements} <= {"blockquote", *(element.name for element in plain.elements)}
    assert not page.all("a") and not page.all("img")
    assert page.shown.count("<img src=x onerror=alert(1)>") > 3


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
@example(EVIL)
@example("~~gone~~ https://evil.example www.evil.example a\\|b <!-- hidden -->")
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    page = rendered(f"| head |\n| --- |\n| x{markdown.plain(text)}x |\n")
    (cell,) = page.all("td")
    shown = printable(" ".join(text.split()))  # what has no shape is shown by its number
    wanted = " ".join(f"x{shown}x".split())
    assert " ".join(html.unescape(cell.text).replace("\u200b", "").split()) == html.unescape(wanted).replace(
        "\u200b", ""
    )
    assert [element.name for element in page.elements] == ["main", "table", "thead", "tr", "th", "tbody", "tr", "td"]
