"""From a made-up candidate to what has to be set up."""

from __future__ import annotations

from typing import Any

import pytest
from recommended_runs import A100, DESCRIPTION, SLICE_BYTES, a100, need

from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.candidates import Candidate, candidates
from bench.judge.recommend.deploying import deployment


def candidate(division: str, **fields: Any) -> Candidate:
    return candidates(a100([division], ["fp32"], **fields), need())[0]


def test_slices_are_laid_out_as_they_were() -> None:
    found = deployment(candidate("mig_1of7"), need())
    assert (found.division, found.tenants, len(found.instances)) == ("mig", 7, 7)
    assert {one.memory_bytes for one in found.instances} == {SLICE_BYTES}
    assert (found.threads, found.peak_rss_bytes) == (2, 1_000_000_000)
    assert (found.product, found.pci_device_id, found.device_kind) == (A100, 0x20B010DE, "cuda")
    assert found.service is None


def test_limits_of_mps_and_the_service() -> None:
    deploy = {
        "name": "my-service",
        "image": "registry.example.com/a:1",
        "command": ["serve", "--fast"],
        "memory_gib": 2,
    }
    found = deployment(candidate("mps"), need(p99_ms=10, deploy=deploy))
    assert (found.division, found.thread_percentage, found.memory_limit_mib) == ("mps", 50, None)
    assert found.service is not None and found.service.command == ("serve", "--fast")
    assert found.service.memory_bytes == 2 * 2**30


def test_as_many_devices_as_the_answer_says() -> None:
    told = deployment(candidate("mig_1of7"), need(throughput_per_s=3000), 3, 1100.0)
    assert (told.devices, told.per_s, told.wanted_per_s, told.all_tenants) == (3, 1100.0, 3000, 21)
    alone = deployment(candidate("mig_1of7"), need())
    assert (alone.devices, alone.per_s, alone.wanted_per_s, alone.all_tenants) == (1, None, None, 7)


def limited(limit_mib: int, device: Any = DESCRIPTION["device"]) -> dict[str, Any]:
    node = {"_target_": "bench.partitions.mps.Mps", "tenants": 7, "memory_limit_mib": limit_mib}
    return {"config": {"partitions": {"mps": node}}, "device": device}


def test_tenants_of_mps_are_promised_no_more_memory_than_there_is() -> None:
    most = 40 * 1024 // 7
    assert deployment(candidate("mps", description=limited(most)), need()).memory_limit_mib == most
    with pytest.raises(InfeasibleHere, match="7 tenants may take 5852 MiB each, more than the 40960 MiB") as found:
        deployment(candidate("mps", description=limited(most + 1)), need())
    assert f"partitions.mps.memory_limit_mib={most}" in found.value.hint
    unknown = candidate("mps", description=limited(most + 1, {}))
    assert deployment(unknown, need()).memory_limit_mib == most + 1, "nobody knows how much there is"


def test_what_is_not_recorded_is_not_made_up() -> None:
    found = deployment(candidate("full", description={}, change={"telemetry": {}}), need())
    assert (found.peak_rss_bytes, found.threads, found.product, found.pci_device_id) == (None, 1, "", None)


def test_cores_are_shared_out_among_the_tenants() -> None:
    found = deployment(candidate("mig_1of7", change={"telemetry": {"cores_used": 8.4}}), need())
    assert found.cores_used == pytest.approx(1.2)
    assert deployment(candidate("mig_1of7"), need()).cores_used is None


def test_threads_that_a_partition_names() -> None:
    config = {"partitions": {"time_shared": {"_target_": "bench.partitions.time_shared.TimeShared", "threads": 3}}}
    assert deployment(candidate("time_shared", description={**DESCRIPTION, "config": config}), need()).threads == 3


def test_a_partition_of_ones_own_is_left_to_its_author() -> None:
    config = {"partitions": {"full": {"_target_": "mine.Own"}}}
    with pytest.raises(ConfigError, match="a partition of your own"):
        deployment(candidate("full", description={"config": config}), need())
