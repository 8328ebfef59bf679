"""Changing MIG layouts on rehearsed GPUs, and bringing them back."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from boards import Board, elsewhere

from bench.devices import nvml
from bench.devices.geometry import Placement
from bench.devices.mig import change, journal
from bench.devices.mig.change import Wanted
from bench.devices.mig.instances import fill
from bench.devices.rehearsal import state
from bench.errors import BenchError, InfeasibleHere

OFF = (False, False, ())


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


@pytest.mark.parametrize("model", ["a100-40gb", "h100-80gb"])
@pytest.mark.parametrize("profiles", ["7x1g", "3x2g", "1g,1g,2g,3g", "7g"])
def test_a_layout_is_there_while_it_is_needed_and_gone_after(tmp_path: Path, model: str, profiles: str) -> None:
    board = Board(tmp_path, model)
    wanted = board.wanted(profiles)
    with change.applied(board.gpu, wanted) as devices:
        assert len({device.uuid for device in devices}) == len(wanted.placements)
        assert sorted(start for _, _, start in board.look()[2]) == sorted(p.start for p in wanted.placements)
        sms = sorted(device.sm_count or 0 for device in devices)
        assert sms == sorted(placement.profile.sm_count or 0 for placement in wanted.placements)
        assert journal.read(board.address.uuid) is not None
    assert board.look() == OFF
    assert journal.read(board.address.uuid) is None


def test_a_layout_that_fits_is_used_as_it_is(board: Board) -> None:
    board.by_somebody_else("3x2g")
    before = board.look()
    with change.applied(board.gpu, board.wanted("3x2g")) as devices:
        assert len(devices) == 3
        assert journal.read(board.address.uuid) is None
        assert board.look() == before
    assert board.look() == before


def test_others_instances_are_never_destroyed(board: Board) -> None:
    board.by_somebody_else("2g")
    before = board.look()
    for wanted in (board.wanted("7x1g"), Wanted(on=False)):
        with pytest.raises(InfeasibleHere, match="not ours to change"), change.applied(board.gpu, wanted):
            pass
    with pytest.raises(InfeasibleHere, match="not ours to change"):
        change.keep(board.gpu, board.wanted("7x1g"))
    assert board.look() == before


def test_an_error_within_brings_the_layout_back(board: Board) -> None:
    with pytest.raises(KeyboardInterrupt), change.applied(board.gpu, board.wanted("7x1g")):
        raise KeyboardInterrupt
    assert board.look() == OFF


def test_a_layout_that_was_asked_for_stays_until_it_is_put_back(board: Board) -> None:
    assert len(change.keep(board.gpu, board.wanted("3g,2g,1g,1g"))) == 4
    kept = board.look()
    with change.applied(board.gpu, board.wanted("1g,1g,2g,3g")) as devices:  # a run uses it
        assert len(devices) == 4
    assert board.look() == kept
    with pytest.raises(InfeasibleHere, match="a run does not change it"), change.applied(board.gpu, Wanted(on=False)):
        pass
    assert len(change.keep(board.gpu, board.wanted("7x1g"))) == 7  # another `apply` does
    assert change.put_back(board.gpu) is not None
    assert board.look() == OFF
    assert change.put_back(board.gpu) is None


def test_a_mode_that_was_on_stays_on(board: Board) -> None:
    board.by_somebody_else("")
    with change.applied(board.gpu, board.wanted("7x1g")):
        pass
    assert board.look() == (True, True, ())
    with change.applied(board.gpu, Wanted(on=False)):
        assert board.look() == OFF
    assert board.look() == (True, True, ())


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"foreign_process": {"pid": 4242}}, "in use by process 4242"),
        ({"mode_stays_pending": True}, "by a reset"),
        ({"vgpu": "H200-1-18C"}, "vGPU guest"),
        ({"no_permission": True}, "no permission"),
    ],
)
def test_what_stands_in_the_way_is_told_and_nothing_changes(board: Board, fault: dict[str, object], told: str) -> None:
    wanted = board.wanted("7x1g")
    state.set_faults(board.path, fault)
    with pytest.raises(BenchError, match=told) as raised, change.applied(board.gpu, wanted):
        pass
    assert raised.value.hint
    assert board.look() == OFF
    assert journal.read(board.address.uuid) is None


def test_a_layout_that_this_user_may_not_see_is_not_changed(board: Board) -> None:
    board.by_somebody_else("3g")
    before = board.look()
    state.set_faults(board.path, {"no_permission": True})
    assert board.gpu.mig.instances is None
    with pytest.raises(InfeasibleHere, match="may not see"), change.applied(board.gpu, Wanted(on=False)):
        pass
    assert board.look() == before


def test_a_layout_that_fits_is_used_by_a_user_who_may_not_see_it(board: Board) -> None:
    board.by_somebody_else("3x2g")
    state.set_faults(board.path, {"no_permission": True})
    with change.applied(board.gpu, board.wanted("3x2g")) as devices:
        assert len(devices) == 3
    for other in ("3x1g", "2x2g", "3x1g.10gb"):
        assert not board.wanted(other).fits(board.gpu.mig)


def test_a_pending_mode_is_left_alone(board: Board) -> None:
    state.set_faults(board.path, {"mode_stays_pending": True})
    with nvml.session(board.address.driver) as session:
        session.do("nvmlDeviceSetMigMode", session.device(board.address.uuid), 1)
    before = board.look()
    assert before[:2] == (False, True)
    with pytest.raises(InfeasibleHere, match="waiting"), change.applied(board.gpu, board.wanted("7x1g")):
        pass
    assert board.look() == before


def test_a_session_of_somebody_else_keeps_the_mode_of_an_ampere_gpu(board: Board) -> None:
    wanted = board.wanted("7x1g")
    with elsewhere(board), pytest.raises(InfeasibleHere, match="other programs"), change.applied(board.gpu, wanted):
        pass
    assert board.look() == OFF


def test_a_client_that_is_just_ending_is_waited_for(board: Board) -> None:
    with change.applied(board.gpu, board.wanted("7x1g")):
        state.set_faults(board.path, {"fail": {"nvmlComputeInstanceDestroy": {"error": "IN_USE", "times": 2}}})
    assert board.look() == OFF


def test_what_cannot_be_brought_back_is_told_and_can_be_later(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.devices.mig.instances.BACK_OFF_S", (0.001,))
    with pytest.raises(change.NotRestored, match="in use") as raised, change.applied(board.gpu, board.wanted("7x1g")):
        state.set_faults(board.path, {"fail": {"nvmlComputeInstanceDestroy": "IN_USE"}})
    assert "bench mig restore" in raised.value.hint
    assert len(board.look()[2]) == 7
    state.set_faults(board.path, {})
    assert change.put_back(board.gpu) is not None
    assert board.look() == OFF


def test_what_is_there_after_a_reboot_is_not_ours(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run was killed, the machine rebooted, and its owner made the very same layout."""
    monkeypatch.setattr(change, "boot_of", lambda gpu: "before")
    change.keep(board.gpu, board.wanted("3x2g"))
    owners = board.look()
    monkeypatch.setattr(change, "boot_of", lambda gpu: "after")
    with pytest.raises(InfeasibleHere, match="not ours"):
        change.keep(board.gpu, board.wanted("7x1g"))
    change.put_back(board.gpu)
    assert board.look() == owners
    assert journal.read(board.address.uuid) is None


def test_a_process_that_has_just_ended_is_waited_for(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [[4242], [4242], []]
    monkeypatch.setattr("bench.devices.mig.guard.processes", lambda session, uuid: listed.pop(0) if listed else [])
    with change.applied(board.gpu, board.wanted("7x1g")) as devices:
        assert len(devices) == 7


def test_a_run_that_may_not_change_a_layout_uses_one_that_fits(board: Board) -> None:
    with pytest.raises(InfeasibleHere, match="may not change"), change.applied(board.gpu, board.wanted("2g"), False):
        pass
    assert board.look() == OFF
    board.by_somebody_else("2g")
    with change.applied(board.gpu, board.wanted("2g"), may_change=False) as devices:
        assert len(devices) == 1


def test_a_kept_layout_that_cannot_be_finished_is_taken_back(board: Board) -> None:
    wanted = board.wanted("3x2g")
    state.set_faults(board.path, {"fail": {"nvmlGpuInstanceCreateComputeInstance": "INSUFFICIENT_RESOURCES"}})
    with pytest.raises(BenchError, match="insufficient"):
        change.keep(board.gpu, wanted)
    assert board.look() == OFF
    assert journal.read(board.address.uuid) is None


def test_a_run_changes_no_kept_layout_not_even_an_empty_one(board: Board) -> None:
    change.keep(board.gpu, Wanted(True))
    kept = board.look()
    assert kept == (True, True, ())
    with pytest.raises(InfeasibleHere, match="a run does not"), change.applied(board.gpu, board.wanted("2g")):
        pass
    assert board.look() == kept
    change.put_back(board.gpu)
    assert board.look() == OFF


def test_ctrl_c_waits_for_the_way_back(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another thread there, which a mask of this one's signals would not hold back."""
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(*arguments)  # type: ignore[arg-type]

    real = change.destroy
    monkeypatch.setattr(change, "destroy", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt), change.applied(board.gpu, board.wanted("3x2g")):
            pass
    finally:
        stop.set()
        other.join()
    assert board.look() == OFF
    assert journal.read(board.address.uuid) is None


def test_a_stranger_who_was_quicker_keeps_his_instance(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody takes the place between our look at it and our creation."""
    wanted = board.wanted("3g")
    real = change.create_gpu_instance

    def late(session: nvml.Session, gpu: object, placement: Placement) -> int:
        fill(session, gpu, real(session, gpu, placement))  # his
        return real(session, gpu, placement)

    monkeypatch.setattr(change, "create_gpu_instance", late)
    with pytest.raises(BenchError, match="insufficient"), change.applied(board.gpu, wanted):
        pass
    assert [start for _, _, start in board.look()[2]] == [wanted.placements[0].start]
    assert journal.read(board.address.uuid) is None


def test_a_mode_that_cannot_be_read_keeps_the_journal(board: Board) -> None:
    with pytest.raises(change.NotRestored), change.applied(board.gpu, board.wanted("2g")):
        state.set_faults(board.path, {"fail": {"nvmlDeviceGetMigMode": "NO_PERMISSION"}})
    assert journal.read(board.address.uuid) is not None
    state.set_faults(board.path, {})
    change.put_back(board.gpu)
    assert board.look() == OFF


def test_a_journal_that_somebody_removed_is_remembered(board: Board) -> None:
    with change.applied(board.gpu, board.wanted("7x1g")):
        journal.remove(board.address.uuid)
    assert board.look() == OFF


def test_who_uses_the_gpu_must_be_known(board: Board) -> None:
    wanted = board.wanted("2g")
    state.set_faults(board.path, {"fail": {"nvmlDeviceGetComputeRunningProcesses_v3": "NO_PERMISSION"}})
    with pytest.raises(InfeasibleHere, match="not told"), change.applied(board.gpu, wanted):
        pass
    assert board.look() == OFF


def test_one_bench_at_a_time(board: Board) -> None:
    with (
        change.applied(board.gpu, board.wanted("7x1g")),
        pytest.raises(InfeasibleHere, match="another bench"),
        change.applied(board.gpu, board.wanted("3x2g")),
    ):
        pass
    assert board.look() == OFF


def test_a_journal_that_cannot_be_written_stops_everything(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.devices.mig.journal.os.fsync", full)
    with pytest.raises(BenchError, match="No space left"), change.applied(board.gpu, board.wanted("7x1g")):
        pass
    assert board.look() == OFF
