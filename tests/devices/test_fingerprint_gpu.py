"""What is stored of a GPU, and what is warned of: from rehearsed GPUs, read through the real nvidia-ml-py."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pynvml
import pytest
from boards import Board

from bench.contract import GpuAddress
from bench.devices import gpu_warnings, gpu_words, host, nvml
from bench.devices.fingerprint import fingerprint, warnings
from bench.devices.fingerprint_gpu import fingerprint_gpu
from bench.devices.rehearsal import state


def rehearsed(folder: Path, model: str = "a100-40gb", **faults: Any) -> GpuAddress:
    path = folder / f"{model}.json"
    state.create(path, model, faults)
    return GpuAddress(state.read(path).uuid, str(path))


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return fingerprint_gpu(rehearsed(tmp_path_factory.mktemp("gpu")))


# --- what is stored ---------------------------------------------------------------------------------------------


def test_it_is_plain_json_and_says_that_it_is_a_rehearsal(healthy: dict[str, Any]) -> None:
    assert json.loads(json.dumps(healthy, allow_nan=False)) == healthy
    assert healthy["rehearsal"] is True
    assert healthy["name"] == "NVIDIA A100-SXM4-40GB"
    assert healthy["sm_count"] == 108
    assert healthy["compute_capability"] == [8, 0]
    assert healthy["refused"] == {}


def test_the_cuda_version_of_the_driver_is_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlSystemGetCudaDriverVersion", lambda: 13010)
    assert fingerprint_gpu(rehearsed(tmp_path))["cuda_driver"] == "13.1"


def test_a_serial_number_is_never_stored_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetSerial", lambda handle: "1650221030234")
    found = fingerprint_gpu(rehearsed(tmp_path))
    assert "1650221030234" not in json.dumps(found)
    assert found["serial_sha256"] == hashlib.sha256(b"1650221030234").hexdigest()


def test_the_whole_layout_is_told(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.by_somebody_else("3g,2g,1g")
    mig = fingerprint_gpu(board.address)["mig"]
    on, after_reset, instances = board.look()
    assert (mig["on"], mig["after_reset"]) == (on, after_reset) == (True, True)
    assert {(one["number"], one["profile_id"], one["start"]) for one in mig["instances"]} == set(instances)
    assert [one["profile"] for one in mig["instances"]] == ["3g.20gb", "2g.10gb", "1g.5gb"]
    assert {device["gpu_instance"] for device in mig["devices"]} == {number for number, _, _ in instances}
    assert all(device["uuid"].startswith("MIG-") and device["sm_count"] for device in mig["devices"])


def test_what_this_driver_does_not_have_is_none(tmp_path: Path) -> None:
    missing = (
        "nvmlDeviceGetGspFirmwareVersion", "nvmlDeviceGetFieldValues", "nvmlDeviceGetEccMode",
        "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
    )  # fmt: skip
    found = fingerprint_gpu(rehearsed(tmp_path, missing=missing))
    assert found["gsp_firmware"] is None
    assert found["ecc"] is None
    assert set(found["throttled_ns"]) == set(gpu_words.THROTTLE_COUNTERS)
    assert set(found["throttled_ns"].values()) == {None}
    assert found["processes"] is None, "which is not the same as nobody"
    assert found["refused"] == {}, "that is no error"
    assert found["vbios"] is not None, "the others go on"


def test_what_is_refused_is_kept_with_its_error(tmp_path: Path) -> None:
    found = fingerprint_gpu(rehearsed(tmp_path, fail={"nvmlDeviceGetInforomImageVersion": "CORRUPTED_INFOROM"}))
    assert found["inforom"] is None
    assert found["refused"] == {"nvmlDeviceGetInforomImageVersion": "CORRUPTED_INFOROM"}
    assert found["vbios"] is not None


def test_a_lost_gpu_is_no_fingerprint(tmp_path: Path) -> None:
    address = rehearsed(tmp_path, fail={"nvmlDeviceGetVbiosVersion": "GPU_IS_LOST"})
    with pytest.raises(nvml.GpuLost):
        fingerprint_gpu(address)


def test_other_processes_are_told_by_name_and_memory(tmp_path: Path) -> None:
    (process,) = fingerprint_gpu(rehearsed(tmp_path, foreign_process={"pid": os.getppid()}))["processes"]
    assert process["pid"] == os.getppid()
    assert process["name"] == Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    assert (process["kind"], process["gpu_instance"]) == ("compute", None)
    assert process["memory_bytes"] > 0


def test_a_process_out_of_sight_has_no_name_and_this_one_is_no_neighbour(tmp_path: Path) -> None:
    (process,) = fingerprint_gpu(rehearsed(tmp_path, "h100-80gb", foreign_process={"pid": 2**22 + 1}))["processes"]
    assert process["name"] is None
    assert fingerprint_gpu(rehearsed(tmp_path, foreign_process={"pid": os.getpid()}))["processes"] == []


def test_the_energy_counter_is_timed_only_when_asked(tmp_path: Path, healthy: dict[str, Any]) -> None:
    assert healthy["energy_update_s"] is None
    assert fingerprint_gpu(rehearsed(tmp_path), detect_energy=True)["energy_update_s"] > 0


def test_variables_that_matter_and_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_MPS_PIPE_DIRECTORY": "/tmp/mps", "NVIDIA_TF32_OVERRIDE": "0",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True", "PYTORCH_CUDA_ALLOC_CONF": "a:b", "TORCH_LOGS": "dynamo",
    }  # fmt: skip
    for name, value in {**kept, "NVIDIA_API_KEY": "secret", "NGC_API_KEY": "secret"}.items():
        monkeypatch.setenv(name, value)
    found = fingerprint_gpu(rehearsed(tmp_path))["environment"]
    assert kept.items() <= found.items()
    assert "secret" not in found.values()


# --- the fingerprint of a run and of doctor ---------------------------------------------------------------------


def test_without_a_driver_nothing_breaks() -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a driver here")
    found = fingerprint()
    assert found["gpu"] == {"driver": "no NVIDIA driver", "devices": []}
    warnings(found)


def test_a_driver_without_nvml_is_warned_of() -> None:
    found = {**fingerprint(host.cpu_device()), "gpu": {"driver": "no NVIDIA driver", "devices": []}}
    assert not [what for what, _ in warnings({**found, "nvidia_gpu_present": False}) if "NVML" in what]
    assert [what for what, _ in warnings({**found, "nvidia_gpu_present": True}) if "NVML is not" in what]


def test_a_run_on_the_cpu_has_no_gpu() -> None:
    assert fingerprint(host.cpu_device())["gpu"] is None


def test_one_of_several_gpus_that_does_not_answer_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with two GPUs: the rehearsed driver stands for the machine's own."""
    from bench.devices import fingerprint as subject

    good = rehearsed(tmp_path)
    lost = rehearsed(tmp_path, "h100-80gb", fail={"nvmlDeviceGetName": "GPU_IS_LOST"})
    by_uuid = {address.uuid: address for address in (good, lost)}
    real_session = nvml.session
    monkeypatch.setattr(nvml, "session", lambda driver=None: real_session(driver or good.driver))
    monkeypatch.setattr(nvml.Session, "gpus", lambda self: [(uuid, "") for uuid in by_uuid])
    monkeypatch.setattr(subject, "GpuAddress", by_uuid.__getitem__)
    found = fingerprint()
    whole, broken = found["gpu"]["devices"]
    assert whole["uuid"] == good.uuid and "error" not in whole
    assert broken == {"uuid": lost.uuid, "error": "NVML says gpu is lost (nvmlDeviceGetName)"}
    assert [what for what, _ in warnings(found) if what.startswith(f"{lost.uuid}: NVML says gpu is lost")]


# --- warnings ---------------------------------------------------------------------------------------------------

BUSY = {"event_reasons": ["sw power cap"]}
CAUSES: dict[str, tuple[dict[str, Any], str, str]] = {
    "vgpu": ({"virtualization": "vgpu"}, "vGPU guest's share", "measure on a whole GPU"),
    "clocks": ({}, "does not tell whether clocks are locked", "-lgc MHZ,MHZ"),
    "clocks, default": ({"clocks_mhz": {"graphics": {"application_default": 1095}}}, "clocks are locked", "1095,1095"),
    "persistence": ({"persistence": False}, "persistence mode is off", "-pm 1"),
    "neighbours": (
        {"processes": [{"pid": 7, "name": "python"}, {"pid": 8, "name": None}, {"pid": 7, "name": "python"}]},
        "2 other processes have a context on it (python)",
        "kill 7 8",
    ),
    "compute mode": ({"compute_mode": "exclusive process"}, "compute mode is exclusive process", "-c 0"),
    "ecc": ({"ecc": {"on": True, "after_reset": False}}, "ECC is on, and a reset will switch it off", "-e 1"),
    "rows": ({"remapped_rows": {"pending": True, "failed": False}}, "wait to be remapped", "--gpu-reset"),
    "worn": ({"remapped_rows": {"pending": False, "failed": True}}, "could not be remapped", "ROW_REMAPPER"),
    "power": ({"power_limit_w": {"now": 250.0, "default": 400.0, "enforced": 250.0}}, "limit is 250 W", "-pl 400"),
    "held": ({"power_limit_w": {"now": 400.0, "default": 400.0, "enforced": 300.0}}, "power at 300 W", "-q -d POWER"),
    "mig": ({"mig": {"on": False, "after_reset": True}}, "MIG is off, and a reset will switch it on", "-mig 0"),
    "throttled": (BUSY, "throttled now: sw power cap", "-q -d PERFORMANCE"),
    "pcie": (
        {**BUSY, "pcie": {"generation": 4, "generation_max": 4, "width": 8, "width_max": 16}},
        "under load its PCIe link is at generation 4 of 4 and width 8 of 16",
        "-q -d PCIE",
    ),
    "blocking": ({"environment": {"CUDA_LAUNCH_BLOCKING": "1"}}, "CUDA_LAUNCH_BLOCKING is set", "unset CUDA_LAUNCH"),
}


def test_nothing_else_is_said_of_a_healthy_gpu(healthy: dict[str, Any]) -> None:
    ((what, mend),) = gpu_warnings.gpu_warnings(healthy)
    assert what.startswith("rehearsal: NVML does not tell whether clocks are locked")
    assert mend.startswith(f"nvidia-smi -i {healthy['uuid']} -lgc")


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_its_words_and_its_command(healthy: dict[str, Any], cause: str) -> None:
    change, words, command = CAUSES[cause]
    found = gpu_warnings.gpu_warnings({**copy.deepcopy(healthy), "rehearsal": False, **change})
    (mend,) = [mend for what, mend in found if words in what]
    assert command in mend
    assert not any(what.startswith("rehearsal") for what, _ in found)


def test_every_check_has_a_cause_in_this_table(healthy: dict[str, Any]) -> None:
    found = {
        check.__name__
        for check in gpu_warnings._CHECKS
        for change, words, _ in CAUSES.values()
        if any(words in what for what, _ in check({**healthy, **change}, "nvidia-smi"))
    }
    assert found == {check.__name__ for check in gpu_warnings._CHECKS}


def test_what_is_not_told_is_not_warned_of(healthy: dict[str, Any]) -> None:
    names = ("persistence", "compute_mode", "ecc", "remapped_rows", "event_reasons", "processes")
    unknown = {
        **healthy,
        **dict.fromkeys(names),
        "power_limit_w": dict.fromkeys(healthy["power_limit_w"]),
        "pcie": dict.fromkeys(healthy["pcie"]),
        "mig": {"on": None, "after_reset": None, "instances": [], "devices": []},
    }
    assert len(gpu_warnings.gpu_warnings(unknown)) == 1, "the one about clocks"


@pytest.mark.parametrize("reasons", [["gpu idle"], None])
def test_a_link_that_sleeps_while_idle_is_no_fault(healthy: dict[str, Any], reasons: list[str] | None) -> None:
    slow = {"generation": 1, "generation_max": 4, "width": 16, "width_max": 16}
    found = gpu_warnings.gpu_warnings({**healthy, "pcie": slow, "event_reasons": reasons})
    assert not [what for what, _ in found if "PCIe" in what]


def test_a_clock_that_somebody_chose_is_not_throttled(healthy: dict[str, Any]) -> None:
    assert gpu_warnings.gpu_warnings({**healthy, "event_reasons": ["applications clocks setting"]}) == []


@pytest.mark.parametrize("value", ["", "0"])
def test_a_variable_that_is_off_is_not_warned_of(healthy: dict[str, Any], value: str) -> None:
    found = {**healthy, "environment": dict.fromkeys(gpu_warnings.VARIABLES, value)}
    assert gpu_warnings.gpu_warnings(found) == gpu_warnings.gpu_warnings(healthy)


def test_a_guest_is_told_so_and_a_whole_gpu_in_a_virtual_machine_is_none(tmp_path: Path) -> None:
    guest = fingerprint_gpu(rehearsed(tmp_path, vgpu="A100-7C"))
    whole = fingerprint_gpu(rehearsed(tmp_path, "h100-80gb", passthrough=True))
    assert (guest["virtualization"], whole["virtualization"]) == ("vgpu", "passthrough")
    (what,) = [what for what, _ in gpu_warnings.gpu_warnings(guest) if "vGPU" in what]
    assert "A100-7C" in what
    assert not [what for what, _ in gpu_warnings.gpu_warnings(whole) if "vGPU" in what]


# --- words, against the real nvidia-ml-py -----------------------------------------------------------------------


def test_event_reasons_are_those_of_nvidia_ml_py() -> None:
    prefix = "nvmlClocksThrottleReason"  # the older prefix has two more than nvmlClocksEventReason
    names = {name.removeprefix(prefix) for name in vars(pynvml) if name.startswith(prefix)}
    real = {
        getattr(pynvml, prefix + name): re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        for name in names - {"All", "None", "UserDefinedClocks"}
    }
    assert real == gpu_words.EVENT_REASONS


def test_an_event_reason_without_a_name_is_a_number() -> None:
    assert gpu_words.event_reasons(0) == []
    assert gpu_words.event_reasons(0x4 | 0x40 | 0x8000) == ["sw power cap", "hw thermal slowdown", "0x8000"]


def test_compute_modes_are_those_of_nvidia_ml_py() -> None:
    for number, words in enumerate(gpu_words.COMPUTE_MODES):
        assert getattr(pynvml, f"NVML_COMPUTEMODE_{words.replace(' ', '_').upper()}") == number
    assert len(gpu_words.COMPUTE_MODES) == pynvml.NVML_COMPUTEMODE_COUNT


def test_field_values_are_read_from_the_member_that_their_type_names() -> None:
    kinds = {
        "DOUBLE": 1.5, "UNSIGNED_INT": 2**32 - 1, "UNSIGNED_LONG": 2**63, "UNSIGNED_LONG_LONG": 2**64 - 1,
        "SIGNED_LONG_LONG": -(2**40), "SIGNED_INT": -5, "UNSIGNED_SHORT": 65535,
    }  # fmt: skip
    assert len(kinds) == pynvml.NVML_VALUE_TYPE_COUNT
    members = [name for name, _ in pynvml.c_nvmlValue_t._fields_]
    for kind, value in kinds.items():
        number = getattr(pynvml, f"NVML_VALUE_TYPE_{kind}")
        entry = pynvml.c_nvmlFieldValue_t(valueType=number, nvmlReturn=0)
        setattr(entry.value, members[number], value)
        assert gpu_words.field_value(entry) == value
        entry.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
        assert gpu_words.field_value(entry) is None


def test_bits_of_an_affinity() -> None:
    assert gpu_words.bits([0b1011, 1 << 63, 1]) == [0, 1, 3, 127, 128]
