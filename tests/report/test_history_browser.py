"""The page of a history in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from made_up_nights import night, nights
from playwright.sync_api import Browser, ViewportSize

from bench.judge.history.history import history
from bench.report.history import page as history_page

WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 400, "height": 800}
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = [*nights(59, {20: 0.9, 26: 1.1, 32: 0.9}), night(59, {"fp32": 80.0, "int8_ort": 850.0})]
    path = tmp_path_factory.mktemp("history") / "history.html"
    path.write_text(history_page.render(history(made)))
    return path.as_uri()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_renders_without_a_complaint_and_without_a_network(
    browser: Browser, address: str, viewport: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    with browser.new_context(viewport=viewport, color_scheme=scheme) as context:
        page = context.new_page()
        told, asked = [], []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        assert told == []
        assert asked == [address]
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert page.evaluate(CONTRAST) == []
        assert page.locator("svg.chart:visible").count() == 2
        charts = page.locator(".course .scroll").first
        assert charts.evaluate("box => Math.abs(box.scrollLeft) < 2"), "it begins at the newest runs"
        labels = page.locator("svg.chart text.shift")
        assert labels.count() >= 4
        overlaps = """texts => {
            const boxes = texts.map(text => text.getBoundingClientRect());
            return boxes.filter((a, i) => boxes.some((b, j) => i < j && a.left < b.right - 1 && b.left < a.right - 1
                                                               && a.top < b.bottom - 3 && b.top < a.bottom - 3)).length;
        }"""
        assert labels.evaluate_all(overlaps) == 0


def test_pointing_at_a_run_tells_of_it_and_shifts_are_sorted(browser: Browser, address: str) -> None:
    with browser.new_context(viewport=WIDE) as context:
        page = context.new_page()
        page.goto(address)
        page.locator("svg.chart rect.hit").first.hover()
        assert "blocks valid" in page.locator("#tip").inner_text()
        page.locator("#shift-table th", has_text="size").get_by_role("button").click()
        values = page.locator("#shift-table tr.row td:nth-child(6)").evaluate_all(
            "cells => cells.map(cell => Number(cell.dataset.value))"
        )
        assert values == sorted(values) and len(values) == 3
