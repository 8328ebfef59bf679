"""Which cells contrast with which, where arrangements differ in more than one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from made_up_runs import claim, infeasible, latency, plan, run

from bench.claims import Claim
from bench.judge.contrasts import Contrasts
from bench.judge.evidence import RunEvidence
from bench.judge.ledger import _roll_up
from bench.judge.looks import next_look
from bench.judge.verdicts import Verdict, judge_run
from bench.records import Layout, PlannedTrial
from bench.stored import StoredRun

ONLY = ("fp32",)
KEEPS_MORE = claim(
    reading="at_least", low=1.0, high=None, contrast="partition", baseline="time_shared", treatments=("cpuset",),
    beside=("*_hog",),
)  # fmt: skip
PARTITIONS = (
    "cpuset", "cpuset.alone", "cpuset.compute_hog", "cpuset.bursty",
    "time_shared", "time_shared.alone", "time_shared.compute_hog", "time_shared.bursty",
)  # fmt: skip


def contrasts(partitions: tuple[str, ...], asked: Claim, **fields: Any) -> list[tuple[Any, ...]]:
    found = Contrasts(plan(dict.fromkeys(partitions, ONLY), **fields)).of({"c": asked})
    return [(each.treatment[0], each.baseline[0], each.metric, each.solo) for each in found]


def test_a_claim_about_neighbours_compares_what_is_left_of_the_speed_alone() -> None:
    alone = (("cpuset.alone", "fp32"), ("time_shared.alone", "fp32"))
    expected = [("cpuset.compute_hog", "time_shared.compute_hog", "throughput", alone)]
    assert contrasts(PARTITIONS, KEEPS_MORE) == expected


def test_a_claim_about_partitions_is_judged_where_all_tenants_run_the_workload() -> None:
    faster = claim(contrast="partition", baseline="time_shared", treatments=("cpuset",), metric=["throughput", "p99"])
    assert [metric for _, _, metric, _ in contrasts(PARTITIONS, faster)] == ["throughput"]
    assert contrasts(PARTITIONS, faster, min_requests=5000) == [
        ("cpuset", "time_shared", "throughput", None),
        ("cpuset", "time_shared", "p99", None),
    ]


def test_isolations_are_compared_on_the_same_division_beside_the_same_neighbour() -> None:
    asked = claim(contrast="isolation", baseline="container_unlimited", treatments=("container",))
    partitions = (
        "full.container", "full.container_unlimited", "cpuset.container.alone", "cpuset.container_unlimited.bursty",
    )  # fmt: skip
    found = contrasts(partitions, asked)
    assert found == [("full.container", "full.container_unlimited", "throughput", None)]


@pytest.mark.parametrize(("measures", "metric", "held"), [
    ("throughput", "throughput", True), ("throughput", "start_up", False),
    ("start_up", "throughput", False), ("start_up", "start_up", True),
])  # fmt: skip
def test_a_run_says_nothing_of_what_it_did_not_measure(measures: Any, metric: str, held: bool) -> None:
    asked = claim(contrast="isolation", baseline="process", treatments=("container",), metric=metric)
    assert bool(contrasts(("full", "full.container"), asked, measures=measures)) == held


def unheld(partitions: tuple[str, ...], asked: Claim, **fields: Any) -> list[tuple[str | None, str]]:
    found = Contrasts(plan(dict.fromkeys(partitions, ONLY), **fields)).unheld({"c": asked})
    return [(each.partition, each.reason) for each in found]


def test_what_is_missing_for_a_claim_about_neighbours_is_told() -> None:
    ((partition, reason),) = unheld(("cpuset", "time_shared"), KEEPS_MORE)
    assert partition == "cpuset"
    assert "without a neighbour" in reason
    ((partition, reason),) = unheld(("cpuset.compute_hog", "time_shared.compute_hog"), KEEPS_MORE)
    assert partition == "cpuset.compute_hog"
    assert "alone" in reason


def test_an_infeasible_division_is_told_once_however_many_are_beside_it() -> None:
    gone = tuple(infeasible(f"cpuset{beside}", "*", "too few cores") for beside in ("", ".alone", ".compute_hog"))
    assert unheld(("time_shared",), KEEPS_MORE, infeasible=gone) == [("cpuset", "infeasible: too few cores")]


# --- injected truth -------------------------------------------------------------------------------------------------

ALONE, KEPT = {"cpuset": 50.0, "time_shared": 100.0}, {"cpuset": 0.98, "time_shared": 0.5}


def disturbed(planned: PlannedTrial) -> Mapping[str, Any]:
    """A cpuset is slower alone, and keeps nearly all of that; block by block all speeds drift together."""
    drift = 1 + 0.05 * (planned.block % 3)
    wobble = 1 + 0.004 * (-1) ** (planned.block + planned.position)
    kept = KEPT[planned.division] if planned.neighbours.endswith("_hog") else 1.0
    return {"throughput_per_s": ALONE[planned.division] * kept * drift * wobble}


def interfered(**fields: Any) -> StoredRun:
    return run(plan(dict.fromkeys(PARTITIONS, ONLY), tenants=2, **fields), disturbed)


def test_the_share_of_its_speed_that_a_tenant_keeps_is_what_is_judged() -> None:
    (verdict,) = judge_run(RunEvidence(interfered()), {"c": KEEPS_MORE})
    assert verdict.verdict == "confirmed"
    assert verdict.speedup is not None and verdict.speedup.low is not None and verdict.speedup.high is not None
    assert verdict.speedup.low < KEPT["cpuset"] / KEPT["time_shared"] < verdict.speedup.high


def test_a_block_without_one_of_its_four_cells_is_lost() -> None:
    def spoiled(planned: PlannedTrial) -> Mapping[str, Any]:
        if planned.block <= 5 and planned.partition == "time_shared.alone":
            return {"status": "invalid", "reason": "throttled"}
        return disturbed(planned)

    stored = run(plan(dict.fromkeys(PARTITIONS, ONLY), tenants=2), spoiled)
    (verdict,) = judge_run(RunEvidence(stored), {"c": KEEPS_MORE})
    assert verdict.verdict == "invalid"
    assert "5 of 10 blocks lost" in verdict.reason and "throttled" in verdict.reason


def test_more_blocks_measure_all_four_cells() -> None:
    close = KEEPS_MORE.model_copy(update={"low": KEPT["cpuset"] / KEPT["time_shared"]})
    more = next_look(interfered(), {"c": close})
    assert more is not None
    assert set(more.cells) == {
        f"{division}.{beside}" for division in ("cpuset", "time_shared") for beside in ("alone", "compute_hog")
    }


P99 = KEEPS_MORE.model_copy(update={"metric": "p99"})


def tails(planned: PlannedTrial) -> Mapping[str, Any]:
    speed = disturbed(planned)["throughput_per_s"]
    return {"tenant_latency_ms": (latency(1e3 / speed),) * 2, "tenant_requests": (5000, 5000)}


def with_tails(measured: Any = tails) -> list[Verdict]:
    stored = run(plan(dict.fromkeys(PARTITIONS, ONLY), tenants=2, min_requests=5000), measured)
    return judge_run(RunEvidence(stored), {"c": P99})


def test_a_p99_that_the_protocol_cannot_have_is_told_and_stands_in_nobodys_way() -> None:
    assert judge_run(RunEvidence(interfered()), {"c": P99}) == []
    reasons = {
        reason for _, reason in unheld(PARTITIONS, KEEPS_MORE.model_copy(update={"metric": ("throughput", "p99")}))
    }
    assert reasons == {"a p99 needs 5000 requests in each process, which protocol=publish asks for"}


def test_a_p99_is_judged_as_throughput_is() -> None:
    (verdict,) = with_tails()
    assert (verdict.verdict, verdict.metric) == ("confirmed", "p99")


def test_slow_trials_are_not_left_out_of_a_p99() -> None:
    """They are those with too few requests: one of them, and there is no p99."""

    def slow_once(planned: PlannedTrial) -> Mapping[str, Any]:
        few = {"tenant_requests": (4900, 5000)} if planned.id.startswith("003") and "compute" in planned.id else {}
        return {**tails(planned), **few}

    (verdict,) = with_tails(slow_once)
    assert verdict.verdict == "not_testable"
    assert "one trial had 4900" in verdict.reason


def test_a_p99_of_other_batches_is_another_thing() -> None:
    (verdict,) = with_tails(lambda planned: {**tails(planned), "batch_size": 8 if "cpuset" in planned.id else 64})
    assert verdict.verdict == "not_testable"
    assert "8 and 64" in verdict.reason


def test_on_a_gpu_the_wait_for_a_turn_counts() -> None:
    def waits(planned: PlannedTrial) -> Mapping[str, Any]:
        speed = disturbed(planned)["throughput_per_s"]
        return {**tails(planned), "tenant_latency_ms": (latency(1.0),) * 2, "tenant_wall_p99_ms": (2e3 / speed,) * 2}

    (verdict,) = with_tails(waits)
    assert verdict.verdict == "confirmed"


# --- what cannot be compared ----------------------------------------------------------------------------------------

FASTER = claim(
    contrast="partition", baseline="time_shared", treatments=("cpuset",), reading="at_least", low=1.0, high=None
)  # fmt: skip


def verdict_of(stored: StoredRun, asked: Claim = FASTER) -> Verdict:
    (verdict,) = judge_run(RunEvidence(stored), {"c": asked})
    return verdict


def twice(planned: PlannedTrial) -> Mapping[str, Any]:
    wobble = 1 + 0.004 * (-1) ** planned.block
    return {"throughput_per_s": (200.0 if planned.division == "cpuset" else 100.0) * wobble}


def test_tenants_that_are_named_one_by_one_are_no_baseline() -> None:
    made = plan(dict.fromkeys(("cpuset", "time_shared"), ONLY), tenants=2)
    assert verdict_of(run(made, twice)).verdict == "confirmed"
    mixed = [t.model_copy(update={"neighbours": "listed"} if t.division == "time_shared" else {}) for t in made.trials]
    assert judge_run(RunEvidence(run(made.model_copy(update={"trials": tuple(mixed)}), twice)), {"c": FASTER}) == []


def test_a_slice_that_is_shared_is_not_the_device() -> None:
    within = {"time_shared": Layout(words="2 tenants share 1g in turns", mig=True)}
    stored = run(plan(dict.fromkeys(("cpuset", "time_shared"), ONLY), tenants=2, layouts=within), twice)
    assert verdict_of(stored).verdict == "not_testable"
    assert "within a MIG slice" in verdict_of(stored).reason


def test_a_difference_within_the_noise_floor_shows_nothing() -> None:
    def noisy(planned: PlannedTrial) -> Mapping[str, Any]:
        again = 1.02 if planned.optimization == "again" else 1.0
        return {"throughput_per_s": (101.0 if planned.division == "cpuset" else 100.0) * again}

    made = plan(dict.fromkeys(("cpuset", "time_shared"), (*ONLY, "again")), tenants=2, again="again")
    verdict = verdict_of(run(made, noisy))
    assert verdict.verdict == "inconclusive"
    assert "noise floor" in verdict.reason


# --- what several metrics come to -----------------------------------------------------------------------------------


def whole(*words: str, metrics: tuple[str, ...] = ("throughput", "p99")) -> str:
    asked = KEEPS_MORE.model_copy(update={"metric": metrics})
    made = [Verdict("c", word, "", True, "measured", role="claimed") for word in words]  # type: ignore[arg-type]
    return _roll_up(made, asked).verdict


def test_a_claim_of_two_metrics_holds_where_both_do_and_fails_where_one_fails() -> None:
    assert whole("confirmed", "exceeded") == "confirmed"
    assert whole("confirmed", "refuted") == "refuted"
    assert whole("confirmed", "inconclusive") == "inconclusive"
    assert whole("confirmed") == "inconclusive"  # the other was not measured
    assert whole("confirmed", metrics=("throughput",)) == "confirmed"
