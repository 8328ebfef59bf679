"""The gate's look at a GPU: each cause has its reason, and nothing unknown is held against a trial."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from made_up_ticks import WINDOW, once, report
from test_gate import GOOD

from bench.measure import gate, gate_gpu

HEALTHY: dict[str, Any] = {
    **{f"gpu__{counter}": 12.0 for counter in gate_gpu.COUNTERS},
    "gpu__event_reasons": 0x4,
    "gpu__sm_clock_hz": 1.5e9,
    "gpu__foreign_processes": 0.0,
}

CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "hot, by any": ({"gpu__throttled_thermal_s": lambda t: 5 + 0.5 * t}, "throttled: temperature 50% of the time"),
    "hot": ({"gpu__throttled_hardware_thermal_s": lambda t: 0.02 * t}, "temperature (by the hardware) 2%"),
    "slowdown": ({"gpu__event_reasons": lambda t: 0x48 if t == 1.0 else 0x4}, "throttled: hardware slowdown"),
    "driver": ({"gpu__event_reasons": 0x20}, "thermal slowdown by the driver"),
    "brake": ({"gpu__event_reasons": 0x80}, "power brake"),
    "clock fell": ({"gpu__sm_clock_hz": lambda t: 1.5e9 if t < 1.5 else 1.2e9}, "clock moved by -20%"),
    "clock rose": ({"gpu__sm_clock_hz": lambda t: 1.5e9 * (1 + t / 10)}, "clock moved by +1"),
    "foreign": ({"gpu__foreign_processes": [0.0, *[None] * 9, 1.0, *[None] * 14]}, "1 other process on the GPU"),
    "several": ({"gpu__foreign_processes": once(3.0)}, "3 other processes on the GPU"),
    "lost": ({"gpu__lost": [None] * 24 + [1.0]}, "the GPU was lost"),
    "layout": ({"gpu__layout_changed": once(1.0)}, "the GPU's MIG layout changed"),
}


def judged(columns: dict[str, Any]) -> list[str]:
    return gate_gpu.reasons(gate_gpu.evidence(report(**columns), WINDOW))


def test_a_healthy_gpu_has_nothing_against_it() -> None:
    assert judged(HEALTHY) == []


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_its_reason(cause: str) -> None:
    change, words = CAUSES[cause]
    (reason,) = judged({**HEALTHY, **change})
    assert words in reason


@pytest.mark.parametrize(("clock_hz", "off"), [(1.0e9, False), (1.05e9, False), (1.2e9, True), (0.85e9, True)])
def test_the_clock_is_held_to_that_of_the_cells_first_valid_trial(clock_hz: float, off: bool) -> None:
    found = gate_gpu.evidence(report(gpu__sm_clock_hz=clock_hz), WINDOW, first_clock_hz=1.0e9)
    assert [reason for reason in gate_gpu.reasons(found) if "first valid trial" in reason] == [
        f"the GPU's clock is {clock_hz / 1e9 - 1:+.0%} off that of the first valid trial of this cell"
    ] * off


def test_every_check_has_a_cause_in_this_table() -> None:
    found = {
        check.__name__
        for check in gate_gpu.CHECKS
        for change, _ in CAUSES.values()
        if check(gate_gpu.evidence(report(**{**HEALTHY, **change}), WINDOW))
    }
    assert found | {"_clock_off"} == {check.__name__ for check in gate_gpu.CHECKS}  # that needs another trial


def test_one_sentence_tells_all_causes_of_throttling() -> None:
    counters = {f"gpu__{counter}": (lambda t: t) for counter in gate_gpu.COUNTERS}
    (reason,) = judged({**HEALTHY, **counters, "gpu__event_reasons": 0xFF})
    for words in (*gate_gpu.COUNTERS.values(), *gate_gpu.SLOWDOWNS.values()):
        assert words in reason


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"gpu__throttled_thermal_s": once(0.0), "gpu__sm_clock_hz": once(1.5e9)},
        {"gpu__sm_clock_hz": [1.5e9, 1.5e9, 1.5e9, 1.5e9, 1.0e9, 1.0e9] + [None] * 19},
    ],
    ids=["nothing read", "read once", "few clocks"],
)
def test_what_is_unknown_is_not_held_against_a_trial(columns: dict[str, Any]) -> None:
    assert judged(columns) == []


def test_no_telemetry_is_unknown() -> None:
    evidence = gate_gpu.evidence({}, WINDOW)
    assert gate_gpu.reasons(evidence) == []
    assert all(math.isnan(number) for number in gate_gpu.numbers(evidence).values())


def test_what_was_outside_the_window_does_not_count() -> None:
    outside = {
        "gpu__event_reasons": lambda t: 0 if 0.25 < t < 2.25 else 0x40,
        "gpu__sm_clock_hz": lambda t: 1.5e9 if 0.25 < t < 2.25 else 2e8,
    }
    assert judged({**HEALTHY, **outside}) == []


def test_a_little_throttling_and_a_little_movement_are_normal() -> None:
    little = {"gpu__throttled_thermal_s": lambda t: 0.009 * t, "gpu__sm_clock_hz": lambda t: 1.5e9 * (1 - t / 100)}
    assert judged({**HEALTHY, **little}) == []


def test_the_power_limit_is_recorded_and_is_no_fault() -> None:
    found = gate_gpu.evidence(report(**{**HEALTHY, "gpu__throttled_power_s": lambda t: 5 + 0.5 * t}), WINDOW)
    assert gate_gpu.reasons(found) == []
    assert math.isclose(gate_gpu.numbers(found)["gpu_power_capped_share"], 0.5)


def test_throttling_between_two_looks_is_not_missed() -> None:
    (reason,) = judged({**HEALTHY, "gpu__throttled_thermal_s": [0.0, *[None] * 9, 0.0, *[None] * 9, 0.1, *[None] * 4]})
    assert "temperature 5% of the time" in reason


def test_the_power_cap_counts_by_its_counter_and_idle_clocks_are_nobodys_fault() -> None:
    assert judged({**HEALTHY, "gpu__event_reasons": 0x1 | 0x2 | 0x4 | 0x10 | 0x100}) == []


def test_the_gate_asks_the_gpu_too() -> None:
    lost = gate_gpu.evidence(report(**HEALTHY, gpu__lost=1.0), WINDOW)
    found = gate.judge(gate.Evidence(**{**vars(GOOD), "gpu": lost}))
    assert found.reasons == ("the GPU was lost",)
    assert found.checks["gpu_throttled_share"] == 0
    json.dumps(found.model_dump(), allow_nan=False)


def test_nothing_changes_on_a_cpu() -> None:
    assert not [name for name in gate.judge(GOOD).checks if name.startswith("gpu")]
