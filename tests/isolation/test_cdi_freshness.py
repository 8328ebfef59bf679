"""A CDI specification that is older than the MIG layout is found out by what it says: UUIDs and dates do not tell."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cdi_files import GPU, OTHER_SLICE, SLICE, Machine, write
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.devices.cdi_freshness import nodes_of, outdated
from bench.devices.cdi_specification import Described, find, read_files


def described(machine: Machine, *devices: dict[str, object], name: str = SLICE) -> Described:
    folder = machine.root / "cdi"
    write(folder, "nvidia.json", machine.specification(*devices))
    found = find(read_files([folder]), "nvidia.com/gpu", name)
    assert found is not None
    return found


def test_one_that_is_of_the_present(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpu(0, GPU)
    machine.instance(0, 7, 156, {0: 157})
    one = described(machine, machine.device(SLICE, 0, [156, 157]))
    assert outdated(one, SLICE, 7, machine.proc) is None


def test_the_same_uuid_with_other_numbers(tmp_path: Path) -> None:
    """Layouts came and went: the MIG device is in its old place, and the driver has counted on."""
    machine = Machine(tmp_path)
    machine.instance(0, 8, 165, {0: 166})
    one = described(machine, machine.device(SLICE, 0, [156, 157]))
    told = outdated(one, SLICE, 8, machine.proc)
    assert told == "it names nvidia-cap156, nvidia-cap157, and GPU instance 8 has nvidia-cap165, nvidia-cap166 now"
    assert outdated(one, SLICE, 7, machine.proc) == "the driver has no GPU instance 7 on /dev/nvidia0 now"


def test_a_slice_of_another_gpu(tmp_path: Path) -> None:
    """GPUs are numbered anew at a boot, and /etc outlives it."""
    machine = Machine(tmp_path)
    machine.instance(1, 7, 300, {0: 301})
    one = described(machine, machine.device(SLICE, 0, [156, 157]))
    assert outdated(one, SLICE, 7, machine.proc) == "the driver has no GPU instance 7 on /dev/nvidia0 now"


def test_a_slice_that_is_described_with_another_s_nodes_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.instance(0, 7, 156, {0: 157})
    machine.instance(0, 8, 165, {0: 166})
    one = described(machine, machine.device(SLICE, 0, [156, 157, 165, 166]))
    assert outdated(one, SLICE, 7, machine.proc) is not None
    whole = described(machine, machine.device(SLICE, 0))
    assert outdated(whole, SLICE, 7, machine.proc) == "its device nodes are not those of one MIG device"


def test_whole_gpus(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpu(1, GPU)
    right = described(machine, machine.device(GPU, 1), name=GPU)
    assert outdated(right, GPU, None, machine.proc) is None
    wrong = described(machine, machine.device(GPU, 0), name=GPU)
    assert outdated(wrong, GPU, None, machine.proc) == "it names /dev/nvidia0, and this GPU is /dev/nvidia1 now"


def test_a_driver_that_was_updated(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpu(0, GPU)
    one = described(machine, machine.device(GPU, 0), name=GPU)
    machine.library.unlink()
    assert outdated(one, GPU, None, machine.proc) == f"it names {machine.library}, which is not there"


def test_what_is_not_told_is_no_proof_of_anything(tmp_path: Path) -> None:
    """A driver that tells neither UUIDs nor capabilities: a GPU may be right, a slice cannot be shown to be."""
    machine = Machine(tmp_path)
    machine.file("proc/driver/nvidia/gpus/0000:00:00.0/information", "GPU UUID: GPU-????????\n\0\nDevice Minor:\n")
    assert outdated(described(machine, machine.device(GPU, 0), name=GPU), GPU, None, machine.proc) is None
    machine.file("proc/driver/nvidia/capabilities/gpu0/mig/gi7/access", "DeviceFileMinor: many\n")
    assert outdated(described(machine, machine.device(SLICE, 0, [1, 2])), SLICE, 7, machine.proc) is not None


def test_a_library_where_this_user_may_not_look_may_well_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    machine.gpu(0, GPU)
    one = described(machine, machine.device(GPU, 0), name=GPU)

    stat = Path.stat

    def closed(path: Path, **options: bool) -> os.stat_result:
        if path == machine.library:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", closed)
    assert outdated(one, GPU, None, machine.proc) is None


def test_the_nodes_of_a_device_as_the_driver_tells_them(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpu(0, OTHER_SLICE)
    machine.gpu(1, GPU)
    machine.instance(1, 7, 156, {0: 157})
    machine.instance(1, 8, 165, {0: 166, 1: 167})
    assert nodes_of(GPU, None, machine.proc) == ["/dev/nvidia1"]
    caps = [f"/dev/nvidia-caps/nvidia-cap{number}" for number in (156, 157)]
    assert nodes_of(SLICE, 7, machine.proc) == ["/dev/nvidia1", *caps]
    assert nodes_of(SLICE, 8, machine.proc) == [], "which of its two compute instances is it?"
    assert nodes_of(SLICE, 9, machine.proc) == [] == nodes_of("GPU-none", None, machine.proc)


LAYOUT = st.dictionaries(st.integers(1, 14), st.integers(1, 60), min_size=1, max_size=7)
"""Number of the first capability, by GPU instance."""


@given(then=LAYOUT, now=LAYOUT)
def test_exactly_what_has_stayed_is_of_the_present(then: dict[int, int], now: dict[int, int]) -> None:
    assume(len({cap // 2 for cap in now.values()}) == len(now))  # no capability is given twice
    with TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        for instance, cap in now.items():
            machine.instance(0, instance, cap // 2 * 2, {0: cap // 2 * 2 + 1})
        for instance, cap in then.items():
            one = described(machine, machine.device(SLICE, 0, [cap // 2 * 2, cap // 2 * 2 + 1]))
            stayed = instance in now and now[instance] // 2 == cap // 2
            assert (outdated(one, SLICE, instance, machine.proc) is None) == stayed
