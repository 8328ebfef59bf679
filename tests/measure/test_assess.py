"""What a tenant sends is checked before any number is made of it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from bench import wire
from bench.contract import Slot
from bench.measure import assess
from bench.measure.link import ChildFailed
from bench.records import TrialRecord

CPU = Slot(index=1, threads=1)
GPU = Slot(index=1, threads=1, executes_on="cuda", gpu="GPU-1")
MS = 1_000_000
RECORD = TrialRecord(
    id="1", block=0, position=0, workload="w", scenario="s", partition="full", optimization="fp32", tenants=1,
    device="a CPU", device_kind="cpu", rehearsal=False, batch_size=1, status="ok", started_at="now",
)  # fmt: skip


def samples(slot: Slot, numbers: Sequence[int], columns: int) -> list[list[int]]:
    packed = wire.pack_integers(array("q", numbers), len(numbers))
    rows: list[list[int]] = assess._samples(slot, {"samples": packed, "columns": columns}).tolist()
    return rows


@pytest.mark.parametrize(("slot", "columns"), [(CPU, 4), (GPU, 2), (CPU, 3), (GPU, 0)])
def test_rows_are_those_of_where_the_tenant_executes(slot: Slot, columns: int) -> None:
    with pytest.raises(ChildFailed, match=f"tenant1 sent rows of {columns} numbers, and a request on"):
        samples(slot, [0, 10, 20, 30], columns)


def test_honest_rows_come_back() -> None:
    assert samples(CPU, [0, 10, 20, 30], 2) == [[0, 10], [20, 30]]
    rows = [[0, 100 * MS, 90 * MS, 5], [100 * MS, 200 * MS, 102 * MS, 5]]
    assert samples(GPU, [number for row in rows for number in row], 4) == rows


@pytest.mark.parametrize("gpu_ns", [0, 103 * MS])
def test_a_gpus_time_is_within_the_hosts(gpu_ns: int) -> None:
    with pytest.raises(ChildFailed, match=r"of request 1 its events say .* ms, the host's clock 100.000 ms"):
        samples(GPU, [0, 100 * MS, 50 * MS, 5, 100 * MS, 200 * MS, gpu_ns, 5], 4)


def proof(detail: Any, issued: Any = None) -> dict[str, Any]:
    return assess.proof_of(CPU, {"proof": {"precision": "fp32", "detail": detail}}, {"issued": issued or {}})


@pytest.mark.parametrize(
    ("detail", "issued"), [({"x": "y" * 70_000}, {}), ({}, {"x": "y" * 70_000}), ({"x": "\u00e9" * 40_000}, {})]
)
def test_a_proof_that_is_absurdly_large_is_refused(detail: Any, issued: Any) -> None:
    with pytest.raises(ChildFailed, match=r"tenant1 sent a proof of \d+ bytes, and 65536 are the limit"):
        proof(detail, issued)


def test_what_is_accepted_can_be_stored_and_what_cannot_is_refused() -> None:
    accepted = 0
    for depth in range(230, 270):
        nested: Any = 1
        for _ in range(depth):
            nested = {"a": nested}
        try:
            found = proof(nested)
        except ChildFailed as error:
            assert "tenant1 sent a proof that cannot be stored" in error.reason
        else:
            accepted += 1
            RECORD.model_copy(update={"proof": found}).model_dump_json()
    assert 0 < accepted < 40
