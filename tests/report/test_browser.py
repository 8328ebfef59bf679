"""The HTML form in a real browser: it renders, it asks no network, and what is meant to work works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from rich_report import SPOILED, report, spoil_telemetry, stored

from bench.report import html
from bench.report.data import build

Scheme = Literal["light", "dark"]
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 400, "height": 800}
SPOILED_ID = re.compile("^003-..-full-slow$")


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browser")
    path = folder / "report.html"
    path.write_text(html.render(report(folder / "a-run")))
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with browser.new_context(viewport=WIDE) as context:
        found = context.new_page()
        found.goto(address)
        yield found


def verdict_rows(page: Page) -> Locator:
    return page.locator("#verdict-table tr.row:visible")


def trial_rows(page: Page) -> Locator:
    return page.locator(".trial-table tbody tr")


def columns(page: Page, table: str, column: int) -> list[str]:
    return page.locator(f"{table} tr.row > :nth-child({column})").all_inner_texts()


# --- it renders, and nothing else happens ---


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_renders_without_a_complaint_and_without_a_network(
    browser: Browser, address: str, viewport: dict[str, int], scheme: Scheme
) -> None:
    with browser.new_context(viewport=viewport, color_scheme=scheme) as context:
        page = context.new_page()
        told, asked = [], []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.mouse.wheel(0, 5000)
        page.wait_for_load_state("networkidle")
        assert told == []
        assert asked == [address]
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert page.locator("svg.chart:visible").count() >= 3
        for chart in page.locator("svg.chart").all():
            box = chart.bounding_box()
            assert box and box["width"] > 300 and box["height"] > 150
            assert page.evaluate("chart => [...chart.querySelectorAll('text')].length", chart.element_handle()) > 5


def test_labels_of_a_chart_do_not_cover_each_other(page: Page) -> None:
    overlaps = """chart => {
        const boxes = [...chart.querySelectorAll('.label')].map(label => label.getBoundingClientRect());
        return boxes.filter((a, i) => boxes.some((b, j) => i < j && a.left < b.right - 1 && b.left < a.right - 1
                                                           && a.top < b.bottom - 3 && b.top < a.bottom - 3)).length;
    }"""
    for chart in page.locator("svg.chart").all():
        assert chart.evaluate(overlaps) == 0


def test_dark_changes_the_colours_and_print_does_not_follow(page: Page) -> None:
    style = "getComputedStyle(document.querySelector(name))"
    colours = f"['body', '.badge.confirmed'].flatMap(name => [{style}.color, {style}.backgroundColor])"
    light = page.evaluate(colours)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(colours)
    assert all(one != other for one, other in zip(light, dark, strict=True))
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate(colours) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_against_its_ground(page: Page, scheme: Scheme) -> None:
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []


# --- sorting and filtering ---


def test_a_column_is_sorted_up_down_and_back(page: Page) -> None:
    before = columns(page, "#verdict-table", 3)
    heading = page.locator("#verdict-table th", has_text="speed-up")
    values = (
        "() => [...document.querySelectorAll('#verdict-table tr.row')].map(row => Number(row.cells[5].dataset.value))"
    )
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    rising = page.evaluate(values)
    assert rising == sorted(rising) and len(set(rising)) > 3
    assert page.locator("#verdict-table .claim-column").first.is_visible(), "without groups each row names its claim"
    heading.get_by_role("button").click()
    assert page.evaluate(values) == sorted(rising, reverse=True)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    assert columns(page, "#verdict-table", 3) == before
    assert page.locator("#verdict-table tr.claim").first.is_visible()


def test_verdicts_are_filtered_by_text_and_by_word(page: Page) -> None:
    total = verdict_rows(page).count()
    page.locator("#verdict-kind").select_option("refuted")
    shown = verdict_rows(page)
    assert 0 < shown.count() < total
    assert all("refuted" in text for text in shown.all_inner_texts())
    expect(page.locator("#claim-gpu")).to_be_hidden()
    expect(page.locator("#claim-fails")).to_be_visible()
    page.locator("#verdict-text").fill("no such thing")
    expect(verdict_rows(page)).to_have_count(0)
    expect(page.locator("#verdict-count")).to_contain_text("0 of")
    page.locator("#verdict-kind").select_option("")
    page.locator("#verdict-text").fill("time_SHARED")
    assert all("time_shared" in text for text in verdict_rows(page).all_inner_texts())
    page.locator("#verdict-text").fill("")
    expect(verdict_rows(page)).to_have_count(total)


def test_a_filter_holds_while_rows_are_sorted(page: Page) -> None:
    page.locator("#verdict-kind").select_option("confirmed")
    count = verdict_rows(page).count()
    page.locator("#verdict-table th", has_text="treatment").get_by_role("button").click()
    assert verdict_rows(page).count() == count > 0
    assert all("confirmed" in text for text in verdict_rows(page).all_inner_texts())


def test_trials_are_paged_sorted_and_filtered(page: Page) -> None:
    expect(trial_rows(page)).to_have_count(50)
    expect(page.locator(".trial-count")).to_have_text("1–50 of 70")
    page.get_by_role("button", name="Next").click()
    expect(trial_rows(page)).to_have_count(20)
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.locator(".trial-table th", has_text="items/s").get_by_role("button").click()
    rates = [float(text) for text in page.locator(".trial-table td:nth-child(7)").all_inner_texts()]
    assert rates == sorted(rates) and len(rates) == 50
    page.locator(".trial-status").select_option("invalid")
    expect(trial_rows(page)).to_have_count(1)
    expect(trial_rows(page)).to_contain_text(SPOILED)
    page.locator(".trial-status").select_option("")
    page.locator(".trial-text").fill("int8_ort")
    expect(page.locator(".trial-count")).to_have_text("1–20 of 20")


def test_rows_with_script_say_the_same_as_rows_without(browser: Browser, page: Page, address: str) -> None:
    scripted = trial_rows(page).all_inner_texts()
    with browser.new_context(java_script_enabled=False) as context:
        plain = context.new_page()
        plain.goto(address)
        assert trial_rows(plain).all_inner_texts()[:50] == scripted
        assert trial_rows(plain).count() == 70
        expect(plain.locator(".controls").first).to_be_hidden()


# --- one trial ---


def test_a_link_to_a_trial_opens_it_and_shows_it(page: Page, address: str) -> None:
    link = page.locator(".trial-table a", has_text=SPOILED_ID)
    target = link.get_attribute("href")
    page.goto(f"{address}{target}")
    page.reload()
    shown = page.locator(target or "")
    expect(shown).to_be_visible()
    expect(shown).to_be_in_viewport()
    expect(shown).to_be_focused()
    expect(shown).to_contain_text(SPOILED)
    expect(shown.locator("svg .window").first).to_be_visible()
    expect(page.locator(".trial-table tr.chosen")).to_contain_text(SPOILED)


def test_a_link_finds_a_trial_on_another_page_behind_a_filter(page: Page) -> None:
    page.locator(".trial-text").fill("nothing like it")
    page.evaluate(
        "location.hash = '#trial-' + JSON.parse(document.querySelector('.trial-data').textContent).rows[69][0]"
    )
    expect(page.locator(".trial-table tr.chosen")).to_have_count(1)
    expect(page.locator(".trial-count")).to_have_text("51–70 of 70")
    expect(page.locator("details.timeline[open]")).to_have_count(1)


def test_an_unknown_or_hostile_link_does_nothing(page: Page, address: str) -> None:
    for fragment in ("#trial-no-such", "#%3Cimg%20src=x%3E", "#%E0%A4%A"):
        told: list[str] = []
        page.on("pageerror", lambda error, told=told: told.append(str(error)))
        page.goto(f"{address}{fragment}")
        page.reload()
        assert told == []
        expect(page.locator("details.timeline[open]")).to_have_count(0)
        expect(trial_rows(page)).to_have_count(50)


def test_pointing_at_a_mark_tells_more(page: Page) -> None:
    page.locator(".forest g.mark").first.hover()
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip")).to_contain_text("judged by")


# --- keyboard and print ---


def test_the_keyboard_reaches_and_works_the_controls(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.locator("#verdict-text").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#verdict-kind")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("region", name="Table of verdicts")).to_be_focused()
    page.keyboard.press("Tab")
    heading = page.locator("#verdict-table th", has_text="verdict")
    expect(heading.get_by_role("button")).to_be_focused()
    assert heading.get_by_role("button").evaluate("b => getComputedStyle(b).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    page.locator("details.timeline summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details.timeline").first).to_have_attribute("open", "")


def test_printed_everything_that_matters_is_there(page: Page, address: str) -> None:
    page.locator(".trial-text").fill("")
    page.emulate_media(media="print")
    for part in ("#summary", "#verdict-table", "#untested-table", ".forest", "svg.chart", ".heat", "pre.command"):
        expect(page.locator(part).first).to_be_visible()
    expect(trial_rows(page)).to_have_count(70)
    for folded in page.locator("details.printed").all():
        assert folded.evaluate("d => d.getBoundingClientRect().height > 1.5 * d.firstElementChild.offsetHeight")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator(".controls").first).to_be_hidden()
    page.emulate_media(media="screen")
    expect(trial_rows(page)).to_have_count(50)


# --- hostile records ---


def test_hostile_names_are_shown_and_not_executed(browser: Browser, tmp_path: Path) -> None:
    evil = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    found = stored(tmp_path / "run", blocks=2, description={"fingerprint": {evil: evil}, "overrides": [evil]})
    spoil_telemetry(found.folder, found.plan.trials[0].id, evil)
    path = tmp_path / "report.html"
    claim = {evil: report(tmp_path / "other").entries[0].claim.model_copy(update={"title": evil})}
    path.write_text(html.render(build(claim, [found], {})))
    with browser.new_context() as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{path.as_uri()}#trial-{found.plan.trials[0].id}")
        assert page.title() == "specimen, single_stream – bench report"
        assert asked == [path.as_uri()] or asked == [f"{path.as_uri()}#trial-{found.plan.trials[0].id}"]
        assert page.get_by_text("document.title='owned'").count() > 3
