"""An error, or a kill, at every NVML call of applying, measuring and restoring a layout.

Whatever happens, the layout is afterwards the original one, or `bench mig restore` makes it so; and what bench did not
create is still there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from boards import Board, forked

from bench.contract import Gpu, Watched
from bench.devices.mig import change, journal
from bench.devices.mig.change import Wanted
from bench.devices.rehearsal import state
from bench.errors import BenchError
from bench.telemetry.nvml import Nvml

FEWEST = 300
"""Injected faults in each of the two tests."""

Moment = tuple[str, str]
ERRORS: tuple[Moment, ...] = (("UNKNOWN", "before"), ("UNKNOWN", "after"), ("GPU_IS_LOST", "before"))
KILLS: tuple[Moment, ...] = (("kill", "before"), ("kill", "after"))


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("bench.devices.mig.instances.BACK_OFF_S", (0.001,))


def _empty(board: Board) -> Wanted:
    """MIG off, and a layout of two profiles wanted."""
    return board.wanted("3g,2g")


def _on(board: Board) -> Wanted:
    """MIG on and empty, MIG off wanted."""
    board.by_somebody_else("")
    return Wanted(on=False)


def _others(board: Board) -> Wanted:
    """Somebody else's layout, which fits."""
    board.by_somebody_else("3g,2g")
    return board.wanted("3g,2g")


STARTS: tuple[Callable[[Board], Wanted], ...] = (_empty, _on, _others)


def _scenario(board: Board, gpu: Gpu, wanted: Wanted) -> None:
    """Apply, measure a little, restore."""
    with change.applied(gpu, wanted) as devices:
        mig = devices[0] if devices else None
        tenant = Watched(os.getpid(), mig.uuid if mig else board.address.uuid, mig.gpu_instance if mig else None)
        reader = Nvml().open({"tenant0": tenant}, board.address)
        list(reader.read())
        reader.close()


def _calls(folder: Path, start: Callable[[Board], Wanted]) -> int:
    """How many NVML calls the scenario makes when nothing goes wrong."""
    board = Board(folder)
    wanted = start(board)
    gpu = board.gpu
    state.set_faults(board.path, {"at_call": {"number": 10**9, "do": "UNKNOWN"}})
    _scenario(board, gpu, wanted)
    return state.read(board.path).calls


def _suffer(folder: Path, start: Callable[[Board], Wanted], number: int, fault: Moment) -> None:
    board = Board(folder)
    wanted = start(board)
    gpu, before = board.gpu, board.look()
    state.set_faults(board.path, {"at_call": {"number": number, "do": fault[0], "moment": fault[1]}})
    if fault[0] == "kill":
        os.waitpid(forked(lambda: _scenario(board, gpu, wanted)), 0)
    else:
        try:
            _scenario(board, gpu, wanted)
        except BenchError as error:
            assert error.hint
    state.set_faults(board.path, {})
    if board.look() != before:
        assert change.put_back(gpu) is not None, "the journal knows what was changed"
    else:
        change.put_back(gpu)
    assert board.look() == before
    assert journal.read(board.address.uuid) is None


@pytest.mark.parametrize("faults", [ERRORS, KILLS], ids=["errors", "kills"])
def test_every_call_may_fail(tmp_path: Path, faults: tuple[Moment, ...]) -> None:
    injected = 0
    for start in STARTS:
        calls = _calls(tmp_path / start.__name__, start)
        for number in range(1, calls + 1):
            for fault in faults:
                _suffer(tmp_path / f"{start.__name__}-{number}-{'-'.join(fault)}", start, number, fault)
                injected += 1
    assert injected >= FEWEST
