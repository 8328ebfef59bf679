"""How near to the physical limit: the nearer of two ceilings, and nothing where none is known."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_runs import faster, plan, run, trial

from bench.judge.limit import Limit, host_bound, limit
from bench.judge.table import rows, to_json
from bench.records import TrialRecord
from bench.report.numbers import of_ceiling

PLANNED = plan(blocks=1).trials[0]


def told(**telemetry: float) -> TrialRecord:
    return trial(PLANNED, telemetry=telemetry, proof={"precision": "bf16"})


@pytest.mark.parametrize(
    ("telemetry", "found"),
    [
        ({"ceiling_share": 0.6, "bytes_share": 0.2}, Limit(0.6, "bf16")),
        ({"ceiling_share": 0.1, "bytes_share": 0.8}, Limit(0.8, "memory")),
        ({"ceiling_share": 0.1}, Limit(0.1, "bf16")),
        ({"achieved_flop_per_s": 1e12}, None),
    ],
)
def test_the_nearer_of_both(telemetry: dict[str, float], found: Limit | None) -> None:
    assert limit([told(**telemetry)]) == found


def test_it_is_the_mean_over_the_trials_that_know_it() -> None:
    found = limit([told(ceiling_share=0.2), told(ceiling_share=0.4), told()])
    assert found is not None and found.share == pytest.approx(0.3)
    assert limit([]) is None


def test_it_is_in_the_row_of_its_cell_and_only_valid_trials_count() -> None:
    def measured(planned: Any) -> dict[str, Any]:
        status = "invalid" if planned.block == 1 else "ok"
        share = 90.0 if planned.block == 1 else 0.25
        return {"status": status, "telemetry": {"ceiling_share": share}, "proof": {"precision": "fp32"}}

    made = run(plan(blocks=2), measured)
    assert {row.limit for row in rows(made.plan, made.trials)} == {Limit(0.25, "fp32")}
    old = run(plan(blocks=2), faster({}))  # measured before ceilings were
    assert [to_json(row)["limit"] for row in rows(old.plan, old.trials)] == [None, None]


def test_it_is_told_with_what_it_is_of() -> None:
    assert of_ceiling(Limit(0.0234, "int8")) == "2.3 % int8"
    assert of_ceiling(None) == "–"
    assert of_ceiling(Limit(0.0234, "int8"), host_bound=True) == "2.3 % int8, host-bound"
    assert of_ceiling(None, host_bound=True) == "host-bound"


def test_a_host_that_takes_the_time_of_the_request_to_queue_it_is_what_limits() -> None:
    assert host_bound([told(queueing_share=0.97), told(queueing_share=0.95), told()])
    assert not host_bound([told(queueing_share=0.97), told(queueing_share=0.2)])
    assert not host_bound([told()]), "a CPU queues nothing"
