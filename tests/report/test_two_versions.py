"""The section on two versions: in every form, only where there are two, and whatever a record says stays text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_up_runs import plan, run, write
from markdown_it import MarkdownIt
from pages import Page

from bench.report import html, json_form, markdown
from bench.report.data import Report, build
from bench.stored import read_run
from bench.verbs import report as report_verb

EVIL = "</script><img src=x onerror=alert(1)> | **a**"


def made(folder: Path, commit: str = "abc") -> Report:
    """Two blocks of a version that takes 10 % longer, as they are read from a folder."""
    planned = plan({"full": ["fp32"], "full.against_commit": ["fp32"]}, blocks=10, looks=(10,), look_level=0.05,
                   baseline="fp32", against={"against_commit": "process"})  # fmt: skip
    trials = tuple(
        trial.model_copy(
            update={
                "division": "full",
                "isolation": trial.partition.partition(".")[2] or "process",
                "neighbours": "same",
            }
        )
        for trial in planned.trials
    )
    planned = planned.model_copy(update={"trials": trials})
    older = {"throughput_per_s": 110.0, "confinement": {"version": {"commit": commit}}}
    found = run(planned, lambda t: older if t.isolation == "against_commit" else {"throughput_per_s": 100.0})
    return build({}, [read_run(write(found, folder))], {})


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return made(tmp_path_factory.mktemp("versions") / "a-run")


def test_every_form_says_what_got_slower(report: Report) -> None:
    told = json_form.to_json(report)["runs"][0]["comparison"]
    assert [(one["outcome"], one["partition"]) for one in told] == [("regressed", "full")]
    assert told[0]["ratio"]["estimate"] == pytest.approx(1 / 1.1)
    page = html.render(report)
    assert "Two versions" in page and "10 % slower" in page
    text = markdown.render(report)
    assert "### Two versions" in text and "10 % slower" in text


def test_a_version_is_not_told_as_what_a_container_costs(report: Report) -> None:
    assert not report.runs[0].neighbours


def test_a_run_of_one_version_has_no_such_section(tmp_path: Path) -> None:
    planned = plan({"full": ["fp32", "bf16"]}, blocks=3)
    found = build({}, [read_run(write(run(planned, lambda t: {}), tmp_path / "one"))], {})
    assert json_form.to_json(found)["runs"][0]["comparison"] is None
    assert "Two versions" not in html.render(found) + markdown.render(found)


def test_what_a_record_says_stays_text(tmp_path: Path) -> None:
    found = made(tmp_path / "evil", EVIL)
    assert not [element for element in Page(html.render(found)).elements if element.name == "img"]
    assert "<img" not in MarkdownIt("gfm-like", {"linkify": False}).render(markdown.render(found))
    json.dumps(json_form.to_json(found), allow_nan=False)


def test_a_run_that_is_there_for_two_versions_answers_that_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is not put to two dozen claims that nobody asked it about."""
    made(tmp_path / "a-run")
    report_verb.run([str(tmp_path / "a-run")], (), str(tmp_path / "out"), as_json=False)
    page = (tmp_path / "out" / "a-run.html").read_text()
    assert page.index("1 regressed") < page.index(">Results</h2>")
    assert 'id="verdicts"' not in page
    report_verb.run([str(tmp_path / "a-run"), "claims=[pruning]"], (), str(tmp_path / "asked"), as_json=False)
    assert "pruning" in (tmp_path / "asked" / "a-run.html").read_text()
