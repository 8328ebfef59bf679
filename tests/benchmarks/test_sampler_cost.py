"""What watching costs: the telemetry process at 100 ms, with the host and an NVIDIA GPU as sources.

The GPU is a rehearsed one, divided into seven instances, whose driver is Python: a real driver's calls have costs of
their own, which each trial's telemetry records (nvml_slowest_call_s)."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from bench.contract import Watched
from bench.devices import nvml
from bench.devices.mig.instances import MigDevice, mig_devices
from bench.devices.rehearsal import state
from bench.isolation.process import Processes
from bench.measure.conductor import TELEMETRY_INTERVAL_S
from bench.measure.telemetry import Telemetry, Ticks
from tests.boards import Board, forked

SOURCES = {"host": {"_target_": "bench.telemetry.host.Host"}, "nvml": {"_target_": "bench.telemetry.nvml.Nvml"}}
PAIRS = 60
BLOCK_S = 0.5


def rounds_per_s(duration_s: float) -> float:
    """Throughput of a loop that keeps one core busy."""
    begun = now = perf_counter()
    rounds = 0
    while now - begun < duration_s:
        sum(range(2000))
        rounds += 1
        now = perf_counter()
    return rounds / (now - begun)


def seven_slices(folder: Path) -> tuple[Board, list[MigDevice]]:
    board = Board(folder, "h100-80gb")
    board.by_somebody_else("7x1g")
    with nvml.session(board.address.driver) as session:
        return board, mig_devices(session, session.device(board.address.uuid))


def watched(pids: list[int], slices: list[MigDevice]) -> dict[str, Watched]:
    return {
        f"tenant{i}": Watched(pid, mig.uuid, mig.gpu_instance)
        for i, (pid, mig) in enumerate(zip(pids, slices, strict=True))
    }


@contextmanager
def busy_tenants(board: Board, slices: list[MigDevice]) -> Iterator[list[int]]:
    """A process on each slice; together they keep all cores busy."""

    def compute(uuid: str) -> None:
        state.attach(board.path, uuid)
        rounds_per_s(600)

    pids = [forked(lambda uuid=mig.uuid: compute(uuid)) for mig in slices]  # type: ignore[misc]
    try:
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def sampling(telemetry: Telemetry, tenants: Mapping[str, Watched]) -> Iterator[Ticks]:
    with telemetry.trial(tenants) as ticks:
        yield ticks
    assert ticks.problem is None


def test_sampler_uses_less_than_1_percent_of_a_core(benchmark: Any, tmp_path: Path) -> None:
    """Over 10 s in which seven tenants keep all cores busy."""
    found: dict[str, float] = {}

    def run() -> None:
        board, slices = seven_slices(tmp_path)
        with (
            busy_tenants(board, slices) as pids,
            Telemetry(Processes(), SOURCES, TELEMETRY_INTERVAL_S, {}, board.address) as telemetry,
        ):
            with sampling(telemetry, watched(pids, slices)) as ticks:
                time.sleep(10.0)
            report = ticks.report
            found["sampler_share"] = report["cpu_s"] / ((report["t_ns"][-1] - report["t_ns"][0]) / 1e9)
            found["read_s"] = statistics.median(report["read_ns"]) / 1e9
            found["ticks"] = len(report["t_ns"])
            found["columns"] = len(report["columns"])

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    assert found["ticks"] >= 95
    assert found["sampler_share"] < 0.01


def test_a_tenants_throughput_changes_by_less_than_half_a_percent(benchmark: Any, tmp_path: Path) -> None:
    """Short blocks with and without the sampler, in balanced order; the median ratio of neighbours. This process is the
    tenant of all slices."""
    ratios: list[float] = []

    def run() -> None:
        board, slices = seven_slices(tmp_path)
        for mig in slices:
            state.attach(board.path, mig.uuid)
        tenants = watched([os.getpid()] * len(slices), slices)
        with Telemetry(Processes(), SOURCES, TELEMETRY_INTERVAL_S, {}, board.address) as telemetry:
            with sampling(telemetry, tenants):
                rounds_per_s(BLOCK_S)
            for pair in range(PAIRS):
                ratios.append(_ratio(telemetry, tenants, watched_first=bool(pair % 2)))

    benchmark.pedantic(run, rounds=1)
    median = statistics.median(ratios)
    benchmark.extra_info.update(median_ratio=median, quartiles=statistics.quantiles(ratios))
    assert median == pytest.approx(1, abs=0.005)


def _ratio(telemetry: Telemetry, tenants: Mapping[str, Watched], watched_first: bool) -> float:
    """Throughput with the sampler over that without."""
    found = {}
    for observed in (watched_first, not watched_first):
        if observed:
            with sampling(telemetry, tenants):
                found[True] = rounds_per_s(BLOCK_S)
        else:
            found[False] = rounds_per_s(BLOCK_S)
    return found[True] / found[False]
