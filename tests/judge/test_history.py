"""Series over many runs: which runs make them, in which order, and what coincides with a shift."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_nights import CELLS, night, nights
from made_up_runs import plan

from bench.judge.history.history import History, Trend, history
from bench.judge.when import measured_at
from bench.records import Imported
from bench.stored import SetAside, StoredRun

COMMITS = ["aaa"] * 30 + ["bbb"] * 30


def series(found: History, optimization: str, metric: str = "throughput") -> Trend:
    (one,) = [one for one in found.series if (one.key.optimization, one.key.metric) == (optimization, metric)]
    return one


def quiet(count: int, **fields: Any) -> list[StoredRun]:
    return [night(number, {"fp32": 100.0, "int8_ort": 1000.0}, **fields) for number in range(count)]


def test_a_shift_is_told_with_the_commit_that_coincides() -> None:
    found = history(nights(60, {30: 0.95}, commit=COMMITS))
    assert series(found, "fp32").changes == ()
    ((one, change),) = found.changes
    assert one.key.optimization == "int8_ort"
    assert change.shift.ratio == pytest.approx(0.95, abs=0.01) and not change.better
    assert (change.before.name, change.first.name) == ("20260130-020000-nightly", "20260131-020000-nightly")
    assert [str(difference) for difference in change.coincides.differences] == ["bench's commit aaa → bbb"]
    assert change.coincides.recorded and change.coincides.offset == 0


def test_a_large_shift_of_the_last_runs_is_told_with_the_commit_of_its_own_run() -> None:
    ((_, change),) = history(nights(64, {60: 0.8}, commit=["aaa"] * 60 + ["bbb", "ccc", "ddd", "eee"])).changes
    assert change.coincides.offset == 0
    assert [(found.before, found.after) for found in change.coincides.differences] == [("aaa", "bbb")]


def test_what_changed_a_run_beside_is_told_with_its_distance() -> None:
    change = history(nights(60, {30: 0.95}, commit=["aaa"] * 31 + ["bbb"] * 29)).changes[0][1]
    assert change.coincides.offset == 1 and len(change.coincides.differences) == 1
    change = history(nights(60, {30: 0.95}, commit=["aaa"] * 25 + ["bbb"] * 35)).changes[0][1]
    assert change.coincides.differences == () and change.coincides.recorded


def test_that_nothing_changed_needs_a_record() -> None:
    runs = [replace(run, description={"started_at": run.description["started_at"]}) for run in nights(60, {30: 0.95})]
    (change,) = [change for _, change in history(runs).changes]
    assert change.coincides.differences == () and not change.coincides.recorded


def test_the_configuration_of_other_options_does_not_coincide() -> None:
    runs = nights(60, {30: 0.95})
    for run in runs[30:]:
        run.description["config"]["optimizations"]["bf16"] = {"expects": "bf16"}
    ((_, change),) = history(runs).changes
    assert change.coincides.differences == ()
    for run in runs[30:]:
        run.description["config"]["optimizations"]["int8_ort"]["expects"] = "int4"
    ((_, change),) = history(runs).changes
    assert [found.name for found in change.coincides.differences] == ["configuration optimizations int8_ort expects"]


def test_runs_come_in_the_order_in_which_they_were_measured() -> None:
    runs = nights(20, {})
    assert history(reversed(runs)).nights[0].name == runs[0].name
    points = series(history(reversed(runs)), "fp32").points
    assert [point.night.name for point in points] == [run.name for run in runs]


def test_when_a_run_was_measured_is_found_wherever_it_is_told() -> None:
    (run,) = quiet(1)
    unsaid = replace(run, description={})
    assert measured_at(run) == measured_at(unsaid) == datetime(2026, 1, 1, 2, tzinfo=UTC)
    told = {"started_at": "2026-03-01T10:00:00+02:00"}
    assert measured_at(replace(run, description=told)) == datetime(2026, 3, 1, 8, tzinfo=UTC)
    imported = run.plan.model_copy(update={"imported": Imported(tool="other", when="2025-05-05 12:00:00")})
    assert measured_at(replace(run, plan=imported)) == datetime(2025, 5, 5, 12, tzinfo=UTC)
    for strange in ("yesterday", "", 7, None, ["2026"], "0001-01-01T00:00:00+14:00"):
        assert measured_at(replace(run, description={"started_at": strange})) == datetime(2026, 1, 1, 2, tzinfo=UTC)
    nameless = replace(unsaid, folder=run.folder.with_name("99999999-250000"))
    assert measured_at(nameless) is None


def test_what_cannot_be_used_is_set_aside_with_its_reason() -> None:
    good, rehearsed, spoiled, nameless = quiet(4)
    rehearsed = replace(rehearsed, plan=rehearsed.plan.model_copy(update={"rehearsal": True}))
    spoiled = replace(spoiled, trials=tuple(t.model_copy(update={"status": "invalid"}) for t in spoiled.trials))
    nameless = replace(nameless, description={}, folder=nameless.folder.with_name("whenever"))
    marked = replace(good, set_aside=(SetAside("trials.jsonl, line 3", "torn"),))
    found = history([SetAside("20250101", "its plan cannot be read"), marked, rehearsed, spoiled, nameless])
    assert [item.where for item in found.set_aside] == [
        "20250101", f"{good.name}, trials.jsonl, line 3", rehearsed.name, spoiled.name, "whenever",
    ]  # fmt: skip
    assert "rehearsal" in found.set_aside[2].why
    assert len(found.nights) == 1 and all(len(one.points) == 1 for one in found.series)


def test_a_point_is_the_mean_of_valid_blocks_with_its_interval() -> None:
    (run,) = quiet(1)
    lost = replace(
        run,
        trials=tuple(t.model_copy(update={"status": "invalid"}) if t.block == 1 else t for t in run.trials),
    )
    (point,) = series(history([lost]), "fp32").points
    assert (point.valid, point.planned) == (5, 6)
    assert point.value == pytest.approx(100.25, abs=0.01)
    assert point.low < point.value < point.high


def test_a_cell_without_a_valid_block_is_no_point_and_the_run_is_named() -> None:
    first, second = quiet(2)
    second = replace(
        second,
        trials=tuple(
            t.model_copy(update={"status": "failed"}) if t.optimization == "fp32" else t for t in second.trials
        ),
    )
    found = series(history([first, second]), "fp32")
    assert len(found.points) == 1 and found.without == (second.name,)


def test_what_decides_nothing_elsewhere_is_no_point_either() -> None:
    """Else twelve smoke runs after many of another protocol would be a shift."""
    made = plan(CELLS, blocks=12, looks=(), look_level=None, protocol="smoke")
    smoke = [night(number, {"fp32": 90.0, "int8_ort": 900.0}, made=made) for number in range(30, 42)]
    found = history([*quiet(30), *smoke])
    assert found.changes == [] and len(series(found, "fp32").points) == 30
    assert [item.where for item in found.set_aside] == [run.name for run in smoke]
    assert "protocol smoke" in found.set_aside[0].why

    told = Imported(tool="other", missing=("blocks",))
    (imported,) = history(
        [replace(run, plan=run.plan.model_copy(update={"imported": told})) for run in quiet(1)]
    ).set_aside
    assert "has no blocks" in imported.why

    short = night(1, {"fp32": 100.0, "int8_ort": 1000.0}, blocks=4)
    found = history([*quiet(1), short])
    assert series(found, "fp32").without == (short.name,) and len(found.nights) == 1
    assert [item.where for item in found.set_aside] == [short.name] and "5 valid blocks" in found.set_aside[0].why


def test_p99_needs_its_requests_and_energy_its_counter() -> None:
    assert {one.key.metric for one in history(quiet(2)).series} == {"throughput"}
    many = {"tenant_requests": (6000,), "requests": 6000, "telemetry": {"energy_per_item_j": 0.5}}
    found = history(quiet(2, fields=many))
    assert {one.key.metric for one in found.series} == {"throughput", "p99", "energy"}
    assert series(found, "fp32", "p99").points[0].value == pytest.approx(20, rel=0.01)
    assert series(found, "fp32", "energy").points[0].value == pytest.approx(0.5)


def test_a_longer_start_up_is_slower() -> None:
    made = plan(CELLS, blocks=6, measures="start_up")
    runs = []
    for number in range(40):
        start_s = (2.0 if number < 20 else 2.2) * (1 + 0.002 * (number * 3 % 7))
        fields = {"throughput_per_s": None, "start_up_s": start_s}
        runs.append(night(number, {"fp32": 1.0, "int8_ort": 1.0}, made=made, fields=fields))
    found = history(runs)
    assert {one.key.metric for one in found.series} == {"start_up"}
    assert {(change.better, round(change.shift.ratio, 1)) for _, change in found.changes} == {(False, 1.1)}


def test_the_version_that_it_was_measured_against_is_no_part_of_it() -> None:
    cells = {"full": ("fp32",), "full.container": ("fp32",)}
    made = plan(cells, blocks=6, against={"container": "process"}, again="fp32_again")
    found = history([night(0, {"fp32": 100.0}, made=made)])
    assert [one.key.partition for one in found.series] == ["full"]


@given(st.dictionaries(st.sampled_from(["fingerprint", "config", "device", "started_at"]), st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=4), inside, max_size=2),
)))  # fmt: skip
@settings(max_examples=30)
def test_any_run_json_is_survived(description: dict[str, Any]) -> None:
    runs = [night(n, {"fp32": 100.0, "int8_ort": 1000.0 * 1.1 ** (n > 4)}) for n in range(10)]
    runs[5] = replace(runs[5], description=description)
    history(runs)
