"""How the device is divided, what tenants run in, and who they are: from configuration to planned trials."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.composition import compose_all
from bench.config import Experiment, build_experiment
from bench.errors import ConfigError
from bench.plan.planner import make_plan, prolong
from bench.records import Plan, PlannedTrial

CALIBRATION = ("workload=calibration", "optimizations=[native]", "telemetry=[]", "gpu=cpu", "protocol=smoke", "seed=1")


def experiment(*overrides: str) -> Experiment:
    # Not load_experiments, which refuses to go on where torch is imported, as it is by other tests.
    return build_experiment(compose_all([*CALIBRATION, *overrides], ())[0], ())


def plan(*overrides: str) -> Plan:
    return make_plan(experiment(*overrides))


def first_block(made: Plan) -> dict[str, PlannedTrial]:
    return {trial.partition: trial for trial in made.trials if trial.block == 1}


def test_an_arrangement_is_named_by_what_is_not_ordinary_about_it() -> None:
    names = {"full", "time_shared", "time_shared.alone"}
    assert set(first_block(plan("partitions=[full,time_shared]", "neighbours=[same,alone]"))) == names


def test_one_isolation_alone_does_not_show_in_names() -> None:
    (trial,) = first_block(plan("isolation=process")).values()
    assert (trial.partition, trial.division, trial.isolation, trial.neighbours) == ("full", "full", "process", "same")


def test_the_parts_of_an_arrangement_are_recorded() -> None:
    trials = first_block(plan("partitions=[time_shared]", "neighbours=[same,alone]"))
    alone = trials["time_shared.alone"]
    assert (alone.division, alone.neighbours, alone.tenants) == ("time_shared", "alone", 1)
    assert trials["time_shared"].tenants == 2


def test_nobody_is_beside_a_tenant_that_has_the_device_to_itself() -> None:
    made = plan("partitions=[full,time_shared]", "neighbours=[same,alone]")
    assert [(item.partition, item.reason) for item in made.infeasible] == [
        ("full.alone", "one tenant has it to itself, so there is nobody beside it")
    ]


def test_arrangements_of_a_division_stay_together_also_in_later_blocks() -> None:
    made = plan("partitions=[cpuset,time_shared]", "neighbours=[same,alone]")
    cells = dict.fromkeys(first_block(made), ("native",))
    longer = prolong(made, cells, made.blocks + 2)
    for block in range(1, longer.blocks + 1):
        divisions = [trial.division for trial in longer.trials if trial.block == block]
        assert divisions in (
            ["cpuset", "cpuset", "time_shared", "time_shared"],
            ["time_shared", "time_shared", "cpuset", "cpuset"],
        )
    assert {trial.tenants for trial in longer.trials if trial.partition == "cpuset.alone"} == {1}


def listed(tenants: str, *others: str) -> Experiment:
    return experiment("partitions=[time_shared]", f"partitions.time_shared.tenants={tenants}", *others)


def test_tenants_may_be_named_one_by_one() -> None:
    made = listed("[{workload: glyphs}, {workload: calibration}, {workload: calibration, optimization: native}]")
    arranged = made.arrangements["time_shared"]
    names = [occupant.name if occupant else None for occupant in arranged.tenants(3)]
    assert names == ["glyphs", None, "calibration"]
    assert first_block(make_plan(made))["time_shared"].tenants == 3


def test_a_named_tenant_may_have_options_of_its_own() -> None:
    tenants = "[{workload: calibration}, {workload: calibration, duration_ms: 7.5, optimization: native}]"
    own, other = listed(tenants).arrangements["time_shared"].tenants(2)
    assert own is None
    assert other is not None
    assert other.workload_node["duration_ms"] == 7.5


def test_what_a_neighbour_cannot_do_here_is_told() -> None:
    made = listed("[{workload: calibration}, {workload: glyphs, optimization: tensorrt_fp16}]")
    (item,) = [item for item in make_plan_anyway(made) if item.partition == "time_shared"]
    assert item.reason.startswith("its neighbour glyphs: ")


def make_plan_anyway(made: Experiment) -> Sequence[object]:
    from bench.plan.planner import _infeasible

    return list(_infeasible(made))


@pytest.mark.parametrize(("tenants", "words"), [
    ("[{workload: calibration}, 3]", "a tenant is 3"),
    ("[{workload: calibration}, {workload: 3}]", "a tenant is"),
    ("[{workload: glyphs}, {workload: glyphs}]", "none of its tenants"),
    ("[{workload: calibration}, {workload: glyphs, nosuch: 1}]", "no option 'nosuch'"),
    ("[{workload: calibration}, {workload: glyphs, optimization: nosuch}]", "no optimization 'nosuch'"),
    ("[]", "tenants should be greater than or equal to 1"),
    ("two", "tenants should be"),
])  # fmt: skip
def test_mistakes_in_named_tenants_are_told(tenants: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listed(tenants)
    assert words in caught.value.what
    assert caught.value.hint


def test_two_that_would_have_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="names its tenants one by one"):
        listed("[{workload: calibration}]", "neighbours=[same,alone]")


def test_only_takes_an_option_of_partitions_or_one_arrangement() -> None:
    chosen = ("partitions=[cpuset]", "neighbours=[same,alone]", "optimizations=[native,fp32]", "baseline=native")
    made = experiment(*chosen, "only.cpuset.alone=[native]")
    assert made.only == {"cpuset.alone": ("native",)}
    with pytest.raises(ConfigError, match="not in this experiment"):
        experiment(*chosen, "only.full=[native]")


def test_stagger_is_between_neighbouring_slots() -> None:
    made = experiment("partitions=[time_shared]", "partitions.time_shared.stagger_s=0.5")
    slots = made.divisions["time_shared"].slots(made.device)
    assert [slot.start_after_s for slot in slots] == [0.0, 0.5]
