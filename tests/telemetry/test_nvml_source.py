"""NVML as a telemetry source, through nvidia-ml-py, on rehearsed GPUs."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pynvml
import pytest
from boards import Board, forked

from bench.contract import Watched
from bench.devices import nvml
from bench.devices.energy_counter import energy_update_s
from bench.devices.host import cpu_device
from bench.devices.mig.instances import destroy, mig_devices
from bench.devices.mig.layout import read_state
from bench.devices.rehearsal import state
from bench.telemetry import nvml as source
from bench.telemetry import nvml_board, nvml_calls
from bench.telemetry.nvml import Nvml, NvmlReader
from bench.telemetry.sampler import Trial

Readings = dict[tuple[str, str], float]
NOBODY = 2**22 + 1
"""A process id that Linux does not give."""


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is else looked at now and then is looked at in every tick."""
    monkeypatch.setattr(source, "LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr(source, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(nvml_calls, "LOOK_SHARE", math.inf)


@contextmanager
def reading(board: Board, tenants: Mapping[str, Watched] | None = None) -> Iterator[Callable[[], Readings]]:
    """A reader's ticks, each as a dictionary."""
    mine = {"tenant0": Watched(os.getpid(), board.address.uuid)}
    reader = Nvml().open(mine if tenants is None else tenants, board.address)
    try:
        yield lambda: {(subject, metric): value for subject, metric, value in reader.read()}
    finally:
        reader.close()


@contextmanager
def computing(board: Board, uuid: str | None = None, mps: bool = False) -> Iterator[None]:
    """This process holds a context on the device."""
    device = uuid or board.address.uuid
    state.attach(board.path, device, mps=mps)
    try:
        yield
    finally:
        state.detach(board.path, device)


def slices(board: Board, profiles: str) -> dict[str, Watched]:
    """The GPU divided by somebody, and a tenant, which is this process, on each part."""
    board.by_somebody_else(profiles)
    with nvml.session(board.address.driver) as session:
        found = mig_devices(session, session.device(board.address.uuid))
    return {f"tenant{i}": Watched(os.getpid(), mig.uuid, mig.gpu_instance) for i, mig in enumerate(found)}


def test_a_cpu_has_nothing_to_read() -> None:
    reason = Nvml().infeasible(cpu_device())
    assert reason is not None and "CPU" in reason


def test_a_gpu_is_feasible(tmp_path: Path) -> None:
    assert Nvml().infeasible(dataclasses.replace(cpu_device(), kind="cuda", gpu=Board(tmp_path).gpu)) is None


def test_a_whole_gpu(tmp_path: Path) -> None:
    board = Board(tmp_path, "h100-80gb")
    with computing(board), reading(board) as tick:
        found = tick()
    metrics = {metric for subject, metric in found if subject == "gpu"}
    assert metrics >= {
        "energy_j", "power_average_w", "power_instant_w", "power_w", "power_limit_w", "temperature_c",
        "memory_temperature_c", "sm_clock_hz", "memory_clock_hz", "sm_clock_limit_hz", "event_reasons",
        "memory_used_bytes", "utilization_share", "performance_state", "throttled_power_s",
        "throttled_hardware_thermal_s", "processes", "foreign_processes",
    }  # fmt: skip
    assert found["gpu", "power_instant_w"] == 100, "50 W, and 50 W of the one client that the model has"
    assert found["gpu", "sm_clock_hz"] == 1e9
    assert found["gpu", "utilization_share"] == 1
    assert found["gpu", "foreign_processes"] == 0
    assert found["tenant0", "gpu_memory_used_bytes"] == found["gpu", "memory_used_bytes"] > 0
    assert all(math.isfinite(value) for value in found.values())


def test_each_call_is_timed(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with reading(board) as tick:
        found = tick()
    assert 0 < found["nvml", "nvmlDeviceGetFieldValues_s"] < 1


def test_limits_are_told_once_and_slow_things_now_and_then(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with reading(board) as tick:
        first, second = tick(), tick()
    for metric in ("power_limit_w", "temperature_c", "throttled_power_s", "processes"):
        assert ("gpu", metric) in first
        assert ("gpu", metric) not in second
    assert ("gpu", "energy_j") in second


class Counted:
    """Takes `spent_s` of a clock that only moves when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, spent_s: float = 0.0) -> None:
        self._now_s = 0.0
        self._spent_s = spent_s
        monkeypatch.setattr(nvml_calls.clock, "now_ns", lambda: round(self._now_s * 1e9))

    def read(self) -> Iterator[Any]:
        self._now_s += self._spent_s
        yield "gpu", "processes", 1.0

    def looks(self, part: nvml_calls.Rarely, times_s: Sequence[float]) -> list[float]:
        """At which of these times the part is read."""
        found = []
        for at_s in times_s:
            self._now_s = at_s
            found += [at_s] * len(list(part.read()))
        return found


TENTHS = [tick / 10 for tick in range(41)]


def test_cheap_things_are_read_more_often_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    part = nvml_calls.Rarely(source.LOOK_INTERVAL_S, counted, first_s=source.FIRST_PAUSE_S)
    assert counted.looks(part, TENTHS) == [0, 0.1, 0.2, 0.4, 0.8, 1.5, 2.5, 3.5]


def test_a_look_that_takes_long_is_taken_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch, spent_s=0.009)
    assert counted.looks(nvml_calls.Rarely(1.0, counted), TENTHS) == [0, 1.8, 3.6], "9 ms are 0.5 % of 1.8 s"


@pytest.mark.usefixtures("always")
def test_under_mig_there_is_no_utilisation_and_it_is_asked_for_once(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with reading(board, slices(board, "3x2g")) as tick:
        first, second = tick(), tick()
    assert ("gpu", "utilization_share") not in first
    assert ("nvml", "nvmlDeviceGetUtilizationRates_s") in first
    assert ("nvml", "nvmlDeviceGetUtilizationRates_s") not in second
    assert ("gpu", "power_average_w") in second


@pytest.mark.usefixtures("always")
def test_gpu_instances_tell_of_their_memory_size_and_activity(tmp_path: Path) -> None:
    board = Board(tmp_path, "h100-80gb")
    tenants = slices(board, "3g,2g")
    busy, idle = tenants.values()
    with computing(board, busy.gpu), reading(board, tenants) as tick:
        first, second = tick(), tick()
    assert first[f"gi{busy.gpu_instance}", "multiprocessors"] == 60
    assert first[f"gi{idle.gpu_instance}", "multiprocessors"] == 32
    assert second[f"gi{busy.gpu_instance}", "memory_used_bytes"] > 0
    assert second[f"gi{idle.gpu_instance}", "memory_used_bytes"] == 0
    assert second[f"gi{busy.gpu_instance}", "graphics_active_share"] == 1
    assert second[f"gi{idle.gpu_instance}", "graphics_active_share"] == 0
    assert ("gpu", "graphics_active_share") not in second, "the board's would count the instances again"


@pytest.mark.usefixtures("always")
def test_before_hopper_there_is_no_gpm(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with reading(board) as tick:
        found = {**tick(), **tick()}
    assert not [metric for _, metric in found if metric.endswith("active_share")]


def test_entries_that_are_not_offered_are_left_out_of_the_next_call(tmp_path: Path) -> None:
    board = Board(tmp_path, "t4-16gb")
    with ExitStack() as things:
        calls = nvml_calls.Calls(things.enter_context(nvml.session(board.address.driver)))
        wanted = {**nvml_board.FIELDS, **nvml_board.SLOW_FIELDS}
        fields = nvml_board.Fields(calls, calls.session.device(board.address.uuid), wanted)
        found = {metric for _, metric, _ in fields.read()}
        assert "energy_j" in found
        assert not {"memory_temperature_c", "power_instant_w"} & found, "this model has neither"
        assert {metric for _, metric, _ in fields.read()} == found
        assert len(fields._wanted) == len(found)


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("nvmlDeviceGetFieldValues", "energy_j"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "foreign_processes"),
        ("nvmlDeviceGetCurrentClocksEventReasons", "event_reasons"),
    ],
)
def test_what_a_driver_lacks_is_absent_and_the_rest_goes_on(tmp_path: Path, missing: str, gone: str) -> None:
    board = Board(tmp_path)
    state.set_faults(board.path, {"missing": [missing]})
    with computing(board), reading(board) as tick:
        found = tick()
    assert ("gpu", gone) not in found
    assert ("gpu", "sm_clock_hz") in found


@pytest.mark.usefixtures("always")
def test_where_the_whole_gpu_may_not_be_asked_its_instances_may(tmp_path: Path) -> None:
    board = Board(tmp_path)
    tenants = slices(board, "2g")
    state.set_faults(board.path, {"no_permission": True})
    with computing(board, tenants["tenant0"].gpu), reading(board, tenants) as tick:
        found = tick()
    assert ("gpu", "memory_used_bytes") not in found
    assert found[f"gi{tenants['tenant0'].gpu_instance}", "memory_used_bytes"] > 0


# --- what goes wrong ---


def test_a_lost_gpu_is_told_once_and_not_asked_again(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with reading(board) as tick:
        assert ("gpu", "lost") not in tick()
        state.set_faults(board.path, {"lost_at_call": 1})
        assert tick()["gpu", "lost"] == 1
        assert not tick()


def test_a_gpu_that_is_lost_before_the_trial_is_no_lost_telemetry(tmp_path: Path) -> None:
    board = Board(tmp_path)
    state.set_faults(board.path, {"fail": {"nvmlDeviceGetHandleByUUID": "GPU_IS_LOST"}})
    trial = Trial([Nvml()], {"tenant0": Watched(os.getpid(), board.address.uuid)}, board.address)
    trial.tick()
    trial.close()
    report = trial.report()
    assert not report["problems"]
    assert {"subject": "gpu", "metric": "lost", "values": [1.0]} in report["columns"]


def test_an_nvml_error_costs_the_tick_and_is_told(tmp_path: Path) -> None:
    board = Board(tmp_path)
    state.set_faults(board.path, {"fail": {"nvmlDeviceGetFieldValues": "UNKNOWN"}})
    trial = Trial([Nvml()], {"tenant0": Watched(os.getpid(), board.address.uuid)}, board.address)
    trial.tick()
    trial.close()
    (problem,) = trial.report()["problems"]
    assert "unknown" in problem


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("again", [False, True], ids=["destroyed", "made anew"])
def test_a_changed_layout_is_told_once(tmp_path: Path, again: bool) -> None:
    board = Board(tmp_path)
    tenants = slices(board, "2g")
    with reading(board, tenants) as tick:
        assert ("gpu", "layout_changed") not in tick()
        with nvml.session(board.address.driver) as session:
            gpu = session.device(board.address.uuid)
            (instance,) = read_state(session, gpu, [profile.id for profile in board.gpu.profiles]).instances
            destroy(session, gpu, instance)
        if again:
            assert slices(board, "2g")["tenant0"].gpu == tenants["tenant0"].gpu, "the UUID comes again"
        assert tick()["gpu", "layout_changed"] == 1
        assert ("gpu", "layout_changed") not in tick()


def test_a_tenant_whose_mig_device_is_gone_already(tmp_path: Path) -> None:
    board = Board(tmp_path)
    gone = {"tenant0": Watched(os.getpid(), "MIG-5f6c0a8e-0000-5000-8000-000000000000", 3)}
    with reading(board, gone) as tick:
        assert tick()["gpu", "layout_changed"] == 1


def test_nothing_is_held_after_the_trial(tmp_path: Path) -> None:
    board = Board(tmp_path, "h100-80gb")
    with reading(board, slices(board, "2g")) as tick:
        tick()
        driver = pynvml.nvmlLib._driver
        assert driver.samples
        assert len(state.read(board.path).sessions) == 1
    assert not driver.samples
    assert not state.read(board.path).sessions


def test_what_is_no_number_is_dropped() -> None:
    class Odd:
        def read(self) -> Iterator[Any]:
            yield "gi1", "sm_active_share", math.nan
            yield "gi2", "sm_active_share", math.inf
            yield "gi3", "sm_active_share", 0.5

    class NoCalls:
        def spent(self) -> Iterator[Any]:
            yield from ()

    reader = NvmlReader(NoCalls(), (), [Odd()], ExitStack())  # type: ignore[arg-type]
    assert list(reader.read()) == [("gi3", "sm_active_share", 0.5)]


# --- who else computes there ---


def test_a_process_that_is_no_tenants_is_foreign(tmp_path: Path) -> None:
    board = Board(tmp_path)
    state.set_faults(board.path, {"foreign_process": {"pid": 1}})
    with computing(board), reading(board) as tick:
        found = tick()
    assert found["gpu", "processes"] == 2
    assert found["gpu", "foreign_processes"] == 1


def test_a_tenants_child_is_not_foreign(tmp_path: Path) -> None:
    board = Board(tmp_path)
    assert os.waitpid(forked(lambda: _with_computing_child(board)), 0)[1] == 0


def _with_computing_child(board: Board) -> None:
    said, told = os.pipe()
    wait, end = os.pipe()

    def compute() -> None:
        os.close(end)
        state.attach(board.path, board.address.uuid)
        os.write(told, b".")
        os.read(wait, 1)

    child = forked(compute)
    os.close(wait)
    os.read(said, 1)
    with computing(board), reading(board) as tick:
        found = tick()
    os.close(end)
    os.waitpid(child, 0)
    assert found["gpu", "processes"] == 2
    assert found["gpu", "foreign_processes"] == 0


def test_tenants_that_are_clients_of_mps_are_found_and_others_are_foreign(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with computing(board, mps=True), reading(board) as tick:
        assert tick()["gpu", "foreign_processes"] == 0
    state.set_faults(board.path, {"foreign_process": {"pid": 1}})
    with computing(board, mps=True), reading(board) as tick:
        assert tick()["gpu", "foreign_processes"] == 1


def test_in_another_pid_namespace_only_what_cannot_be_a_tenants_counts(tmp_path: Path) -> None:
    board = Board(tmp_path)
    elsewhere = {"tenant0": Watched(NOBODY, board.address.uuid)}
    with computing(board), reading(board, elsewhere) as tick:
        found = tick()
    assert found["gpu", "processes"] == 1
    assert ("gpu", "foreign_processes") not in found, "it may be the tenant, under another number"
    state.set_faults(board.path, {"foreign_process": {"pid": 1}})
    with computing(board), reading(board, elsewhere) as tick:
        assert tick()["gpu", "foreign_processes"] == 1, "one tenant is not two processes"


def test_in_another_pid_namespace_a_process_in_an_instance_without_tenant_counts(tmp_path: Path) -> None:
    board = Board(tmp_path)
    tenant, other = slices(board, "2x2g").values()
    with computing(board, other.gpu), reading(board, {"tenant0": dataclasses.replace(tenant, pid=NOBODY)}) as tick:
        assert tick()["gpu", "foreign_processes"] == 1


# --- the energy counter ---


def test_the_update_period_of_the_energy_counter_is_found(tmp_path: Path) -> None:
    board = Board(tmp_path)
    with nvml.session(board.address.driver) as session:
        found = energy_update_s(session, session.device(board.address.uuid))
    assert found is not None
    assert 0.05 < found < 0.2, "the model's counter moves every 100 ms"


def test_a_stuck_or_missing_energy_counter_has_no_period(tmp_path: Path) -> None:
    board = Board(tmp_path)
    for faults in ({"stuck_energy": True}, {"missing": ["nvmlDeviceGetTotalEnergyConsumption"]}):
        state.set_faults(board.path, faults)
        with nvml.session(board.address.driver) as session:
            assert energy_update_s(session, session.device(board.address.uuid), limit_s=0.1) is None
