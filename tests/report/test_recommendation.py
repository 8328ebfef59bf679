"""The page and the words of a recommendation, of made-up runs: all is there, and nothing in a record becomes markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from made_up_runs import agreement
from pages import Page
from playwright.sync_api import Browser
from recommended_runs import DESCRIPTION, a100, asked

from bench.judge.recommend.answer import Answer
from bench.records import Imported
from bench.report import html
from bench.report.recommend import page as recommendation
from bench.report.recommend.json_form import to_json
from bench.report.recommend.words import words

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
NEED: dict[str, Any] = {
    "p99_ms": 10, "throughput_per_s": 5000, "quality_loss_below": 0.01, "scene": "inference",
    "prices": {"price_per_hour": 2.5, "currency": "EUR"},
}  # fmt: skip


@pytest.fixture(scope="module")
def answered() -> Answer:
    return asked(a100(), **NEED)


@pytest.fixture(scope="module")
def page(answered: Answer) -> Page:
    return Page(recommendation.render(answered))


def facts(answered: Answer) -> dict[str, str]:
    return dict(words(answered).facts)


def test_the_answer_comes_first_and_in_words(answered: Answer) -> None:
    found = words(answered)
    assert found.headline == "Deploy int8 on mig_1of7"
    assert "9 configurations were measured; 4 of them satisfy the need, and this is the cheapest" in found.lead
    assert "7 tenants, one on each MIG slice: 7 x 1g.5gb" in found.lead


def test_the_facts_of_what_is_recommended(answered: Answer) -> None:
    found = facts(answered)
    assert found["plan with at most"].startswith("2,213 items/s per device")  # 80 % of the low end of 2800
    assert found["devices"] == "3 for 5,000 items/s"
    assert found["the model"] == "OnnxRuntime (quantization static)"
    assert found["p99"] == "4 ms [3.97, 4.03], of the slowest tenant"
    assert found["quality"] == "lost 0.20 %, at most 0.28 %, on 10,000 items"
    assert found["isolation"].startswith("high: each tenant has multiprocessors")
    assert found["cost of a million inferences"].startswith("0.31 EUR [")
    assert found["cost of a million inferences"].endswith("at full planned load")
    assert found["cost of a month"] == "5,479 EUR, of 3 devices"
    assert found["plan with at most"].endswith("of the low end, at 95 % for all 9 at once")
    assert found["energy of an inference"].startswith("0.107 J")
    assert found["memory"].startswith("a tenant used 1.43 GiB of 5 GiB")


def test_what_was_not_measured_is_said_to_be(answered: Answer) -> None:
    run = a100(["full"], ["fp32", "int8"], change={"telemetry": {}, "tenant_requests": (20,)}, description={})
    found = facts(asked(run, throughput_per_s=10))
    assert found["energy of an inference"] == "not measured"
    assert found["p99"] == "not measured: 20 requests in a process are too few"
    assert found["memory"] == "not measured, so its head-room is not shown"
    assert "the model" not in found


def test_every_candidate_is_in_the_table_with_its_reason(answered: Answer, page: Page) -> None:
    lines = words(answered).lines
    assert len(lines) == 9 and all(line.why for line in lines)
    shown = [element.text for element in page.all("tr") if "row" in element.attributes.get("class", "").split()]
    assert len(shown) == 9
    for line, text in zip(lines, shown, strict=True):
        assert line.name in text and line.why[0] in text and line.standing_words in text
    assert sum(line.is_best for line in lines) == 1 and lines[0].is_best
    (slow,) = (line for line in lines if line.name == "int8 on time_shared")
    assert slow.standing == "open" and "may be above 10 ms" in slow.why[0]


def test_cautions(answered: Answer) -> None:
    assert any("requests that do not queue" in line for line in words(answered).cautions)
    on_a_cpu = asked(a100(device="CPU of somebody", device_kind="cpu"), **NEED)
    assert "Measured on a CPU: it says nothing about a GPU." in words(on_a_cpu).cautions
    random = {**DESCRIPTION, "config": {"workload": {"weights": "random"}}}
    assert any(
        "weights of specimen are random" in line for line in words(asked(a100(description=random), **NEED)).cautions
    )


def test_what_another_tool_measured_is_said_in_words() -> None:
    table = Imported(tool="csv", version="mlperf-harness", missing=("blocks", "proof"))
    (caution,) = (line for line in words(asked(a100(imported=table), **NEED)).cautions if line.startswith("a100: "))
    assert caution.startswith("a100: Measured by mlperf-harness (csv), not by bench; not told: interleaved blocks, ")


def test_rates_have_as_many_digits_as_in_other_reports() -> None:
    run = a100(["full"], ["fp32"], spread=0.0, change={"throughput_per_s": 882.6})
    told = words(asked(run, throughput_per_s=1))
    assert told.lines[0].rate == "882.6 [882.6, 882.6]" and dict(told.facts)["measured throughput"].startswith("882.6 ")


def test_what_has_no_number_for_an_axis_is_told() -> None:
    slow = {("full", "int8"): {"tenant_requests": (10,)}}
    answered = asked(a100(["full"], measured=slow), p99_ms=10)
    told = "Not placed: int8 on full (no p99)."
    assert words(answered).unplaced == told and told in recommendation.render(answered)
    alone = asked(a100(["full"], ["int8"], measured=slow), p99_ms=10)
    assert told in recommendation.render(alone), "where there is no picture, too"
    assert to_json(answered)["pareto"]["not_placed"] == ["int8 on full"]
    assert words(asked(a100(), p99_ms=10)).unplaced == ""


def test_nothing_is_said_to_be_certain() -> None:
    told = words(asked(a100(), p99_ms=0.001)).lead
    assert (
        "each of them fails the need. How they stand holds at 95 %, for all 9 that were put to the goals at once."
        in told
    )
    assert "How it stands holds at 95 %." in words(asked(a100(["full"], ["fp32"]), p99_ms=10)).lead
    assert "95 %" not in words(asked(a100(["full"], ["fp32"]), tenants=2)).lead, "how it is laid out is no estimate"
    assert "at 95 % for all" not in dict(words(asked(a100(["full"], ["fp32"]), p99_ms=10)).facts)["plan with at most"]


def test_the_parts_of_the_page(page: Page) -> None:
    titles = [element.text for element in page.all("h2")]
    assert titles == [
        "What you get", "What was asked for", "All configurations, and why", "Trade-offs", "The rule of thumb",
        "How it was reckoned",
    ]  # fmt: skip
    assert len(page.ids()) == len(set(page.ids()))
    links = [element.attributes["href"] for element in page.all("a")]
    assert all(link.startswith("#") and link[1:] in page.ids() for link in links)
    assert len(page.all("svg")) == 2


def test_without_an_answer_it_says_what_to_measure() -> None:
    answered = asked(a100(requests=10), **NEED)
    page = Page(recommendation.render(answered))
    assert words(answered).headline == "Measure more before you deploy"
    assert "What to measure" in [element.text for element in page.all("h2")]
    assert "protocol=publish" in page.all("pre")[0].text
    refused = asked(a100(), p99_ms=0.001)
    assert words(refused).headline == "Nothing measured satisfies this need"
    assert "each of them fails" in words(refused).lead
    assert "No configuration was measured" in words(asked(a100(["full"], against={"process": "x"}), p99_ms=1)).lead


def test_it_loads_nothing_and_is_the_same_every_time(answered: Answer, page: Page) -> None:
    source = recommendation.render(answered)
    assert source == recommendation.render(answered)
    assert [script.text for script in page.all("script")] == [html._asset("script.js")]
    assert not re.search(r"(src|href)=\"(?!#)", source) and "@import" not in source and "url(" not in source
    (policy,) = (e for e in page.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none'")


def hostile() -> Answer:
    told = {
        "overrides": [f"workload={EVIL}"],
        "config": {"optimizations": {"int8": {"passes": [{"_target_": f"a.{EVIL}", EVIL: EVIL}], "runtime": EVIL}}},
        "device": {"gpu": {"product": EVIL}},
    }
    run = a100(
        ["full"], ["fp32", "int8"], description=told, workload=EVIL, device=EVIL, name=EVIL.replace("/", "_"),
        measured={("full", "int8"): {"quality": agreement(10_000, 1), "reason": EVIL}},
    )  # fmt: skip
    return asked(run, p99_ms=0.5, scene="inference", prices={"price_per_hour": 1, "currency": "<b>"})


def test_a_hostile_record_becomes_no_markup() -> None:
    page = Page(recommendation.render(hostile()))
    assert len(page.all("script")) == 1 and not page.all("img") and not page.all("b")


def test_json_holds_all_of_it(answered: Answer) -> None:
    found = to_json(answered)
    assert found["recommended"]["optimization"] == "int8" and found["devices"] == 3
    assert len(found["candidates"]) == 9 and found["need"]["objective"] == "cost"
    assert {rule["answer"] for rule in found["rules_of_thumb"]} == {"agrees"}
    assert to_json(asked(a100(requests=9), **NEED))["recommended"] is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_in_a_browser(
    browser: Browser, answered: Answer, tmp_path: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    path = tmp_path / "page.html"
    path.write_text(recommendation.render(answered))
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        told: list[str] = []
        asked_for: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked_for.append(request.url))
        page.goto(path.as_uri())
        assert told == [] and asked_for == [path.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []
        heading = page.locator("#candidate-table th", has_text="tenants")
        heading.get_by_role("button").click()
        tenants = page.locator("#candidate-table tr.row > :nth-child(2)").all_inner_texts()
        assert tenants == sorted(tenants, key=int)


def test_a_hostile_record_runs_nothing_in_a_browser(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(recommendation.render(hostile()))
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(path.as_uri())
        assert page.title().endswith("– bench recommend")
