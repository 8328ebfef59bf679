"""From first answers to a trial's record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.contract import Slot
from bench.measure import start_up
from bench.measure.link import ChildFailed
from bench.measure.prepare import Prepared
from bench.measure.task import Task
from bench.measure.telemetry import Ticks
from bench.measure.trial import Tenant

S = 1_000_000_000
PREPARED = Prepared(Task({}, {}, None, "", 1))


def answer(t_s: float, inputs_s: float = 0.1, **fields: Any) -> dict[str, Any]:
    told = {"t_ns": round(t_s * S), "inputs_s": inputs_s, "load_s": 0.5, "first_s": 0.2, "peak_rss_bytes": 2**20}
    return {**told, **fields}


def answers(*answered: dict[str, Any], precision: str = "fp32") -> start_up.Answers:
    proof = {"precision": precision, "operators": {}, "providers": {}, "detail": {}}
    return start_up.Answers(
        tenants=[Tenant(Slot(index, 1), PREPARED) for index in range(len(answered))],
        answered=answered,
        proved=[{"proof": proof, "probe_distance": None}] * len(answered),
        ticks=Ticks(),
        begun_ns=[10 * S] * len(answered),
        finished_ns=20 * S,
    )


def test_a_start_lasts_until_the_last_tenant_has_answered() -> None:
    found = start_up.fields(answers(answer(11.1), answer(12.6)), "fp32", 2)
    assert found["tenant_start_up_s"] == (pytest.approx(1.0), pytest.approx(2.5))
    assert found["start_up_s"] == pytest.approx(2.5)
    assert (found["status"], found["requests"]) == ("ok", 2)
    assert found["timing_s"] == {"start": 1.8, "load": 0.5, "first": 0.2, "total": 10.0}


def test_each_tenant_is_timed_from_its_own_beginning() -> None:
    """One that was started two seconds later took no longer; all together took as long as it looks."""
    made = answers(answer(11.1), answer(13.1))
    found = start_up.fields(replace(made, begun_ns=[10 * S, 12 * S]), "fp32", 2)
    assert found["tenant_start_up_s"] == (pytest.approx(1.0), pytest.approx(1.0))
    assert found["start_up_s"] == pytest.approx(3.0)


def test_another_precision_than_asked_for_is_invalid() -> None:
    found = start_up.fields(answers(answer(11.1), precision="fp32"), "int8", 2)
    assert found["status"] == "invalid"
    assert "wrong precision" in found["reason"]


@pytest.mark.parametrize(
    "wrong",
    [answer(9.0), answer(25.0), answer(11, inputs_s=5.0), answer(11, inputs_s="x"), {"t_ns": None}, {}],
    ids=["before it was asked", "after the end", "negative", "no number", "nothing", "empty"],
)
def test_times_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ChildFailed):
        start_up.fields(answers(wrong), "fp32", 2)
