"""The gate rejects by cause, each with its own reason, and holds nothing unknown against a trial."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from bench.measure import gate, probe

GOOD = gate.Evidence(
    warmups=[{"steady": True, "seconds": 0.3, "drift": 0.001}] * 2,
    warmup_limit_s=3.0,
    requests=[100, 90],
    min_requests=10,
    window_medians=[[1.0] * 10] * 2,
    window_share=0.97,
    run_delay_share=0.01,
    cores_shared=False,
    foreign_cpu_share=0.02,
    steal_share=0.0,
    telemetry_problem=None,
    telemetry_gap_intervals=1.0,
    expected_precision="int8",
    proved_precisions=["int8", "int8"],
    probe_distances=[0.001, None],
)
WARMING = {"steady": False, "seconds": 3.0, "drift": 0.25}

CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "warm-up": ({"warmups": [GOOD.warmups[0], WARMING]}, "not steady within 3 s of warm-up: still +25.0%"),
    "warm-up, few": ({"warmups": [{**WARMING, "drift": math.nan}]}, "too few requests to tell"),
    "requests": ({"requests": [100, 9]}, "only 9 requests in the common window, 10 needed"),
    "no common window": ({"requests": [0, 0], "window_medians": [[], []]}, "only 0 requests"),
    "short": ({"window_share": 0.3}, "only 30% of the window"),
    "waiting": ({"run_delay_share": 0.4}, "waited for a core 40% of the window"),
    "foreign": ({"foreign_cpu_share": 0.5}, "other processes used 50%"),
    "steal": ({"steal_share": 0.07}, "the hypervisor took 7%"),
    "telemetry": ({"telemetry_problem": "it was killed"}, "telemetry lost: it was killed"),
    "telemetry gap": ({"telemetry_gap_intervals": 12.0}, "telemetry lost: a gap of 12 intervals"),
    "precision": ({"proved_precisions": ["int8", "fp32"]}, "wrong precision executed: fp32, not int8"),
    "other model": ({"probe_distances": [0.0, 0.7]}, "its outputs are not those of the model"),
}


def test_a_trial_with_nothing_against_it_is_valid() -> None:
    found = gate.judge(GOOD)
    assert found.valid
    assert found.reasons == ()


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_its_reason(cause: str) -> None:
    change, words = CAUSES[cause]
    found = gate.judge(dataclasses.replace(GOOD, **change))
    assert not found.valid
    (reason,) = found.reasons
    assert words in reason


def test_all_causes_are_told() -> None:
    found = gate.judge(dataclasses.replace(GOOD, steal_share=0.5, proved_precisions=["fp32"], requests=[1]))
    assert len(found.reasons) == 3


def test_every_check_has_a_cause_in_this_table() -> None:
    found = {
        check.__name__
        for check in gate.CHECKS
        for change, _ in CAUSES.values()
        if check(dataclasses.replace(GOOD, **change))
    }
    assert found == {check.__name__ for check in gate.CHECKS}


def test_what_is_unknown_is_not_held_against_a_trial() -> None:
    unknown = dict.fromkeys(
        ("run_delay_share", "foreign_cpu_share", "steal_share", "telemetry_gap_intervals"), math.nan
    )
    found = gate.judge(dataclasses.replace(GOOD, **unknown, probe_distances=[None, None]))
    assert found.valid
    assert not set(unknown) & set(found.checks)


def test_waiting_for_a_core_is_normal_where_cores_are_shared_by_design() -> None:
    assert gate.judge(dataclasses.replace(GOOD, run_delay_share=0.5, cores_shared=True)).valid


@pytest.mark.parametrize("distance", [math.nan, math.inf, 2 * probe.LIMIT])
def test_outputs_that_are_no_numbers_are_not_those_of_the_judged_model(distance: float) -> None:
    assert not gate.judge(dataclasses.replace(GOOD, probe_distances=[0.0, distance])).valid
    assert not gate.judge(dataclasses.replace(GOOD, probe_distances=[distance, 0.0])).valid


@pytest.mark.parametrize("cause", CAUSES)
def test_the_numbers_behind_it_are_plain_json(cause: str) -> None:
    found = gate.judge(dataclasses.replace(GOOD, **CAUSES[cause][0]))
    json.dumps(found.model_dump(), allow_nan=False)


def test_by_cause_never_by_value() -> None:
    slow = [[1e9] * 10] * 2
    assert gate.judge(dataclasses.replace(GOOD, window_medians=slow)).valid
