"""The HTML form: everything is there, it is sound, it loads nothing, and nothing in a record becomes markup."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import hypothesis.strategies as st
import pytest
from hypothesis import given
from made_up_runs import plan, run
from pages import Page
from rich_report import (
    SPOILED,
    change_trial,
    claims,
    published,
    report,
    spoil_telemetry,
    stored,
)

from bench.report import html
from bench.report.data import RunReport, build
from bench.report.sections.environment import command, environment
from bench.report.sections.pareto import Point, front
from bench.report.sections.trials import script_json
from bench.report.words import SIGNS
from bench.stored import read_run

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>{{ 7 * 7 }}"

PARTS = (
    "Verdicts", "Not testable here", "Speed-ups against claims", "Speed and quality", "Latency", "Noise floor",
    "Throughput by partition and optimization", "Sharing: scaling and fairness", "Trials", "Telemetry",
    "Not counted, and why", "Environment, and how to repeat it", "How to read this",
)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return html.render(report(tmp_path_factory.mktemp("html") / "a-run"))


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def unscripted(source: str) -> Page:
    """A page of which every script is ours, and nothing else would be executed or fetched."""
    page = Page(source)
    scripts = [element for element in page.all("script") if element.attributes.get("type") != "application/json"]
    assert [script.text for script in scripts] == [html._asset("script.js")]
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name in ("src", "style", "action")]
        assert element.attributes.get("href", "#").startswith("#")
        assert element.name not in ("img", "link", "iframe", "object", "embed", "base", "form")
    for data in page.all("script"):
        if data not in scripts:
            json.loads(data.text)
    return page


def test_every_part_is_there(page: Page) -> None:
    headings = [element.text for element in page.elements if element.name in ("h1", "h2", "h3")]
    assert headings[0] == "specimen, single_stream"
    assert set(PARTS) <= set(headings)


def test_no_claim_and_no_verdict_is_left_out(tmp_path: Path) -> None:
    made = report(tmp_path / "a-run")
    page = Page(html.render(made))
    rows = [element for element in page.all("tr") if "data-verdict" in element.attributes]
    assert len(rows) == sum(len(entry.verdicts) for entry in made.entries)
    for entry in made.entries:
        assert entry.name in page.shown
        assert all(verdict.reason.removeprefix("needs ") in page.shown for verdict in entry.verdicts)


def test_what_was_measured_on_a_cpu_says_so(page: Page) -> None:
    kinds = [element.text for element in page.elements if element.attributes.get("class") == "kind"]
    assert kinds == ["measured on a CPU, no GPU; published figures", "measured on a CPU, no GPU"]


def test_other_hardware_has_a_heading_of_its_own(page: Page) -> None:
    parts = [element.text for element in page.all("tr") if element.attributes.get("class") == "part"]
    assert any(part.startswith("on other hardware, not counted: made-up device") for part in parts)


def test_verdicts_are_words_and_signs(page: Page) -> None:
    badges = [e for e in page.elements if e.attributes.get("class", "").startswith("badge ") and e.name == "span"]
    for badge in badges:
        word = badge.attributes["class"].removeprefix("badge ")
        assert badge.text == f"{SIGNS[word]} {word.replace('_', ' ')}"
    assert {"confirmed", "refuted", "not testable"} <= {badge.text[2:] for badge in badges}


def test_trials_that_do_not_count_are_named_with_their_reason(page: Page) -> None:
    assert f"slow1 of 10invalid{SPOILED}" in page.shown.replace("\n", "")
    assert "there is no NVIDIA GPU" in page.shown


def test_it_is_sound_for_screen_readers(page: Page) -> None:
    assert len(page.ids()) == len(set(page.ids()))
    for element in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert element.attributes.get(name, page.ids()[0]) in page.ids()
        if element.attributes.get("href", "").startswith("#") and not element.attributes["href"].startswith("#trial-"):
            assert element.attributes["href"][1:] in page.ids()
    images = [element for element in page.all("svg") if element.attributes.get("role") == "img"]
    assert len(images) > 10
    assert all("aria-label" in image.attributes or "aria-labelledby" in image.attributes for image in images)
    assert all("aria-hidden" in svg.attributes for svg in page.all("svg") if svg not in images)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in heading.attributes for heading in page.all("th"))
    levels = [int(element.name[1]) for element in page.elements if re.fullmatch("h[1-6]", element.name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_its_policy_names_its_script_and_style(source: str, page: Page) -> None:
    unscripted(source)
    policy = next(e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes)
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for text in (html._asset("script.js"), html._asset("style.css")):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    found = stored(tmp_path / "a-run")
    assert html.render(build(claims(), [found], {})) == html.render(build(claims(), [read_run(found.folder)], {}))


def test_every_trial_is_in_the_data(page: Page) -> None:
    data = json.loads(next(e.text for e in page.all("script") if e.attributes.get("class") == "trial-data"))
    assert len(data["rows"]) == 70
    assert {row[5] for row in data["rows"]} == {"ok", "invalid"}


def test_the_command_repeats_the_run(page: Page) -> None:
    (shown,) = [e.text for e in page.all("pre") if e.attributes.get("class") == "command"]
    assert shown == "bench run workload=specimen 'optimizations=[fp32,int8_ort]' seed=7"
    assert "left: out" not in page.shown, "claims are no part of the configuration that is shown"


# --- hostile records ---


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    found = stored(tmp_path / "run", workload=EVIL, scenario=EVIL, device=EVIL, device_kind=EVIL)
    evil: dict[str, Any] = {"workload": EVIL, "scenario": EVIL, "device": EVIL, "device_kind": EVIL}
    for number in range(70):
        change_trial(found.folder, number, **evil)
    gate = {"valid": False, "reasons": [EVIL], "checks": {EVIL: EVIL}}
    change_trial(found.folder, 0, **evil, status="invalid", reason=EVIL, gate=gate)
    spoil_telemetry(found.folder, found.plan.trials[0].id, EVIL)
    told = {EVIL: EVIL, "config": {EVIL: EVIL}, "fingerprint": {EVIL: EVIL}, "overrides": [EVIL], "started_at": EVIL}
    (found.folder / "run.json").write_text(json.dumps(told))
    asked = {
        EVIL: claims()["holds"].model_copy(update={"title": EVIL, "needs": EVIL, "decided_by": EVIL}),
        "other": claims()["untested"].model_copy(update={"title": EVIL, "needs": EVIL}),
    }
    page = unscripted(html.render(build(asked, [read_run(found.folder)], {EVIL: published()["paper.yaml"]})))
    assert page.shown.count("{{ 7 * 7 }}") > 10
    assert "49" not in re.findall(r"\b49\b", page.shown.split("Trials")[0])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: (
    st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)), max_leaves=12))  # fmt: skip
def test_any_json_in_a_script_element_comes_out_as_it_went_in(content: Any) -> None:
    text = str(script_json(json.loads(json.dumps(content).replace("NaN", "1").replace("Infinity", "2"))))
    assert not set("<>&'") & set(text)
    assert text.isascii()
    json.loads(text)


@pytest.mark.parametrize(
    "told",
    [
        [], "text", {}, {"overrides": "no list", "fingerprint": 3, "config": [1], "started_at": 5},
        {"overrides": [1, 2], "fingerprint": [[[]]], "config": {"a": None}, "seed": "x", "config_folders": 7},
        {"fingerprint": {str(n): {"x" * 900: "y" * 9000} for n in range(900)}, "config": {"k": "v" * 90_000}},
        {"fingerprint": {"lone": "\ud800"}, "config": {"lone": "\udfff"}, "overrides": ["\ud800"]},
    ],
)  # fmt: skip
def test_a_description_of_any_shape(tmp_path: Path, told: Any) -> None:
    found = stored(tmp_path / "run", blocks=2)
    (found.folder / "run.json").write_text(json.dumps(told))
    source = html.render(build(claims(), [read_run(found.folder)], {}))
    unscripted(source.encode("utf-8", errors="replace").decode())
    assert len(source) < 600_000


def test_deeply_nested_descriptions_are_cut(tmp_path: Path) -> None:
    found = stored(tmp_path / "run", blocks=2)
    deep = '{"a":' * 900 + "1" + "}" * 900
    (found.folder / "run.json").write_text(f'{{"fingerprint": {deep}, "config": {deep}}}')
    unscripted(html.render(build(claims(), [read_run(found.folder)], {})))


def test_a_command_cannot_smuggle_in_another() -> None:
    assert command({"overrides": ["a=1; rm -rf /", "$(id)"]}) == "bench run 'a=1; rm -rf /' '$(id)'"
    assert command({"overrides": ["seed=3"], "seed": 4}) == "bench run seed=3"
    assert command({"seed": 4}) == ""


# --- parts by hand ---


def test_the_pareto_front_by_hand() -> None:
    places = (("slow best", 1, 99), ("beaten", 1, 98), ("middle", 5, 97), ("same, slower", 4, 97), ("fast", 9, 90))
    points = [Point(name, per_s, quality, "", False) for name, per_s, quality in places]
    assert [point.name for point in front(points)] == ["slow best", "middle", "fast"]


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 100)), min_size=1, max_size=20))
def test_what_is_on_the_front_is_beaten_by_nothing_and_the_rest_by_something(places: list[tuple[float, float]]) -> None:
    points = [Point(str(number), per_s, quality, "", False) for number, (per_s, quality) in enumerate(places)]
    best = front(points)
    for point in points:
        at_least = [other for other in best if other.per_s >= point.per_s and other.quality >= point.quality]
        better = [o for o in at_least if o.per_s > point.per_s or o.quality > point.quality]
        assert not better if point in best else at_least


def test_two_runs_keep_their_trials_apart(tmp_path: Path) -> None:
    runs = [stored(tmp_path / name, blocks=2) for name in ("one", "two")]
    page = unscripted(html.render(build(claims(), runs, {})))
    assert len(page.ids()) == len(set(page.ids()))
    prefixes = [e.attributes["data-prefix"] for e in page.all("section") if "data-prefix" in e.attributes]
    assert prefixes == ["trial-1-", "trial-2-"]
    told = {element.text for element in page.all("small") if element.attributes.get("class") == "run-of"}
    assert told == {"one", "two"}


def test_nothing_measured_at_all(tmp_path: Path) -> None:
    found = stored(tmp_path / "run", blocks=2)
    (found.folder / "trials.jsonl").write_text("")
    page = unscripted(html.render(build(claims(), [read_run(found.folder)], {})))
    assert "No request of a valid trial can be read" in page.shown
    assert "14 planned trials not in the record" in page.shown


def test_published_figures_alone() -> None:
    page = unscripted(html.render(build(claims(), [], published())))
    assert "published figures" in page.shown and "as printed, no interval: a paper" in page.shown


def test_what_the_times_of_requests_hold_is_told_with_the_environment() -> None:
    def measured(planned: Any) -> dict[str, Any]:
        kind = "cold" if planned.block == 1 else "hot"
        return {"proof": {"issued": {"transfers": "excluded", "inputs": kind}}}

    made = run(plan(blocks=2), measured)
    facts = environment(cast(RunReport, SimpleNamespace(run=made))).facts
    assert facts[:2] == [("requests transfers", "excluded"), ("requests inputs", "cold or hot")]
    spoiled = run(plan(blocks=1), lambda planned: {"proof": {"issued": ["no", "mapping"]}})
    assert ("requests", "no, mapping") in environment(cast(RunReport, SimpleNamespace(run=spoiled))).facts
