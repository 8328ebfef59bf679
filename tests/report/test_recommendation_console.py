"""A recommendation as somebody reads it in a terminal. Runs are made up."""

from __future__ import annotations

import re
from typing import Any

import pytest
from recommended_runs import a100, asked

from bench.report.recommend.console import print_recommendation

PRICES = {"price_per_hour": 2, "currency": "EUR"}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Lines without colours, on a terminal of so many columns; 0: into a file."""

    def lines(answered: Any, columns: int = 0) -> list[str]:
        for name, value in {"FORCE_COLOR": "1", "COLUMNS": str(columns)}.items():
            if columns:
                monkeypatch.setenv(name, value)
            else:
                monkeypatch.delenv(name, raising=False)
        print_recommendation(answered)
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()]

    return lines


def section(lines: list[str], title: str) -> list[str]:
    start = next(index for index, line in enumerate(lines) if line.startswith(title))
    return lines[start + 1 : lines.index("", start + 1)] if "" in lines[start + 1 :] else lines[start + 1 :]


@pytest.mark.parametrize("columns", [0, 100, 160])
def test_no_line_but_a_command_is_wider_than_the_terminal(shown: Any, columns: int) -> None:
    for answered in (
        asked(a100(), p99_ms=10, prices=PRICES, scene="inference"),
        asked(a100(requests=2000), p99_ms=10, prices=PRICES, scene="inference"),
    ):
        lines = shown(answered, columns)
        assert all(len(line) <= (columns or 160) for line in lines if not line.startswith("    bench run"))


def test_a_command_is_one_line(shown: Any) -> None:
    answered = asked(a100(requests=2000), p99_ms=10)
    (suggested,) = answered.to_measure
    assert f"    {suggested.command}" in shown(answered, 100)


def test_intervals_go_below_their_numbers_where_there_is_no_room(shown: Any) -> None:
    answered = asked(a100(), p99_ms=10, prices=PRICES)
    wide, narrow = shown(answered, 160), shown(answered, 100)
    (row,) = [line for line in section(wide, "Satisfy the need") if line.startswith("  pruned on mig_1of7 ")]
    numbers = re.findall(r"[\d,.]+ \[[^]]*\]", row)
    assert len(numbers) >= 2 and row.endswith("the best")
    text = section(narrow, "Satisfy the need")
    at = next(index for index, line in enumerate(text) if line.startswith("  pruned on mig_1of7 "))
    assert all(number.split(" ")[0] in text[at] for number in numbers) and "[" not in text[at]
    assert all(number.partition(" ")[2] in text[at + 1] for number in numbers)


def test_each_reason_stands_once_with_those_it_is_said_of(shown: Any) -> None:
    lines = shown(asked(a100(requests=2000), p99_ms=10, tenants=7, quality_loss_below=0.01))
    text = "\n".join(lines)
    assert text.count("p99 not measured: fewer than 5,000 requests in a process:\n    all of them") == 1
    assert "1 tenant has the device, and 7 are to share it:\n    fp32, int8, pruned on full" in text
    (reason,) = [index for index, line in enumerate(lines) if "is more than 1.00 %" in line]
    assert lines[reason + 1] == "    pruned on full; pruned on mig_1of7; pruned on time_shared"
    assert text.count("too few (2,000)") == 4, "of those that are open"


def test_a_p99_that_nobody_asks_for_takes_no_column(shown: Any) -> None:
    few, asked_for = a100(requests=10), {"quality_loss_below": 0.01}
    assert not any("p99 ms" in line for line in shown(asked(few, **asked_for)))
    assert any("p99 ms" in line for line in shown(asked(a100(), **asked_for)))


def test_what_is_open_is_ordered_by_the_objective() -> None:
    names = [item.candidate.name for item in asked(a100(["full"], requests=10), p99_ms=10).weighed]
    assert names == ["pruned on full", "int8 on full", "fp32 on full"]
