"""What GPU partitions give, and why they cannot, from what a rehearsed driver tells of each GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bench.contract import Device
from bench.devices.mig.instances import MigDevice
from bench.devices.select import find_device
from bench.partitions.full import Full
from bench.partitions.green_context import GreenContext
from bench.partitions.mig import MigProfiles, MigShare
from bench.partitions.mps import Mps
from bench.partitions.time_shared import TimeShared


def device(tmp_path: Path, model: str = "a100-40gb", **faults: object) -> Device:
    state = str(tmp_path / f"{model}.json")
    return find_device({"kind": "rehearsal", "model": model, "state": state, "faults": faults or None})


def real(rehearsed: Device) -> Device:
    """The same GPU as one of flesh and blood: nothing is allowed without a word."""
    return dataclasses.replace(rehearsed, rehearsal=False)


def test_no_layout_is_changed_without_a_word(tmp_path: Path) -> None:
    found = real(device(tmp_path))
    for partition in (MigShare(one_of=7), MigProfiles(profiles=("3g",)), TimeShared(within="1g"), Mps(within="1g")):
        reason = partition.infeasible(found)
        assert reason and "allow_reconfigure=true" in reason and "MIG is off" in reason
        assert dataclasses.replace(partition, allow_reconfigure=True).infeasible(found) is None
    for partition in (Full(), TimeShared(), Mps(), GreenContext()):  # MIG is off already
        assert partition.infeasible(found) is None


def test_on_a_rehearsed_gpu_no_word_is_needed_and_a_no_is_heard(tmp_path: Path) -> None:
    assert MigShare(one_of=7).infeasible(device(tmp_path)) is None
    assert MigShare(one_of=7, allow_reconfigure=False).infeasible(device(tmp_path)) is not None


@pytest.mark.parametrize(
    ("model", "one_of", "told"),
    [
        ("a30-24gb", 7, ("7 x 1/7 cannot exist", "4 x 1g.6gb", "1 x 4g.24gb")),
        ("rtx-pro-6000-96gb", 7, ("7 x 1/7 cannot exist", "4 x 1g.24gb")),
        ("v100-16gb", 7, ("has no MIG", "time_shared")),
        ("t4-16gb", 3, ("has no MIG", "mps")),
        ("l40s-48gb", 3, ("has no MIG", "green_context")),
        ("a100-40gb", 5, ("5 x 1/5 cannot exist", "7 x 1g.5gb")),
    ],
)
def test_what_cannot_be_names_what_can(tmp_path: Path, model: str, one_of: int, told: tuple[str, ...]) -> None:
    partition = MigShare(one_of=one_of)
    reason = partition.infeasible(device(tmp_path, model))
    if model == "a100-40gb":  # five slices of one seventh do fit
        assert reason is None and partition.count(device(tmp_path, model)) == 5
        return
    assert reason and all(words in reason for words in told), reason


def test_a_vgpu_guest_is_divided_by_its_host(tmp_path: Path) -> None:
    guest = device(tmp_path, "h200-141gb", vgpu="H200-1-18C")
    reason = MigShare(one_of=7).infeasible(guest)
    assert reason and "vGPU guest" in reason and "time_shared" in reason
    assert guest.gpu and guest.gpu.virtualization == "vgpu"
    assert TimeShared().infeasible(guest) is None
    layout = Full().layout(guest)
    assert layout and "vGPU H200-1-18C" in layout.words


def test_passthrough_is_no_vgpu(tmp_path: Path) -> None:
    whole = device(tmp_path, "h200-141gb", passthrough=True)
    assert whole.gpu and whole.gpu.virtualization == "passthrough"
    assert MigShare(one_of=7).infeasible(whole) is None


def test_tenants_see_their_slice_and_nothing_else(tmp_path: Path) -> None:
    found = device(tmp_path)
    slices = [MigDevice(f"MIG-{n}", n, 0, 14, None) for n in (9, 7, 8)]
    slots = MigShare(one_of=3).tenant_slots(found, slices)
    assert [slot.gpu for slot in slots] == ["MIG-7", "MIG-8", "MIG-9"]
    assert [slot.env["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["MIG-7", "MIG-8", "MIG-9"]
    assert [slot.gpu_instance for slot in slots] == [7, 8, 9]
    assert {slot.executes_on for slot in slots} == {"cpu"}
    assert {slot.executes_on for slot in MigShare(one_of=3).tenant_slots(real(found), slices)} == {"cuda"}


def test_mps_tenants_find_the_daemon_and_have_their_limits(tmp_path: Path) -> None:
    found = device(tmp_path)
    with Mps(tenants=3, thread_percentage=30, memory_limit_mib=2048).applied(found) as slots:
        for slot in slots:
            assert Path(slot.env["CUDA_MPS_PIPE_DIRECTORY"]).is_dir()
            assert slot.env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] == "30"
            assert slot.env["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=2048M"
    assert len(slots) == 3


def test_several_tenants_share_one_slice(tmp_path: Path) -> None:
    found = device(tmp_path)
    for partition in (Mps(within="3g"), TimeShared(tenants=2, within="3g")):
        with partition.applied(found) as slots:
            assert len({slot.gpu for slot in slots}) == 1
            assert slots[0].gpu and slots[0].gpu.startswith("MIG-")


def test_full_and_7g_are_two_partitions(tmp_path: Path) -> None:
    found = device(tmp_path)
    whole, seven = Full().layout(found), MigProfiles(profiles=("7g",)).layout(found)
    assert whole and seven
    assert whole.mig is False and not whole.instances
    assert seven.mig is True and seven.instances[0].sm_count == 98
    with Full().applied(found) as (slot,):
        assert slot.gpu and slot.gpu.startswith("GPU-")
    with MigProfiles(profiles=("7g",)).applied(found) as (slot,):
        assert slot.gpu and slot.gpu.startswith("MIG-")


def test_a_green_context_takes_a_share_of_the_whole_gpu(tmp_path: Path) -> None:
    (slot,) = GreenContext(share=0.25).slots(device(tmp_path))
    assert slot.sm_share == 0.25
    assert slot.gpu and slot.gpu.startswith("GPU-")
