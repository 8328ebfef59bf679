"""Which trials are of the version that a run is about, and what they tell."""

from __future__ import annotations

import pytest
from made_up_runs import plan, run, trial

from bench.judge.evidence import own_trials
from bench.judge.metrics import energy_per_item_j, fewest_requests
from bench.judge.untold import without_blocks
from bench.records import Imported


def test_own_trials_are_neither_older_versions_nor_second_measurements() -> None:
    both = plan(
        {"full": ("fp32", "fp32_again"), "full.container": ("fp32", "fp32_again")}, blocks=3, again="fp32_again",
        against={"container": "process"},
    )  # fmt: skip
    found = own_trials(both)
    assert found.keys() == {("full", "fp32")}
    assert [one.block for one in found["full", "fp32"]] == [1, 2, 3]


def test_fewest_requests_and_energy_of_what_tells_none() -> None:
    told, untold = run(plan(blocks=1), lambda planned: {"tenant_requests": (9, 7)}).trials
    assert fewest_requests([told, untold]) == 7 and fewest_requests([]) == 0
    assert fewest_requests([told, untold.model_copy(update={"tenant_requests": ()})]) == 0
    (planned, _) = plan(blocks=1).trials
    assert energy_per_item_j(trial(planned, telemetry={"energy_per_item_j": 2.0})) == 2.0
    assert energy_per_item_j(trial(planned, telemetry={})) is None
    assert energy_per_item_j(trial(planned, telemetry={"energy_per_item_j": 0.0})) is None


@pytest.mark.parametrize(
    ("imported", "words"),
    [
        (None, None),
        (Imported(tool="trtexec", missing=("quality",)), None),
        (Imported(tool="trtexec", version="11", missing=("blocks",)), "measured by trtexec 11, which has no blocks"),
        (Imported(tool="csv", version="mlperf-harness", missing=("blocks",)),
         "measured by mlperf-harness (csv), which has no blocks"),
    ],
)  # fmt: skip
def test_what_another_tool_measured_without_blocks_is_told_by_its_name(
    imported: Imported | None, words: str | None
) -> None:
    assert without_blocks(plan(imported=imported)) == words
