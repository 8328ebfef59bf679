"""What watching costs: the telemetry process at 100 ms, with the host and an NVIDIA GPU as sources.

The GPU is a rehearsed one, divided into seven instances, whose driver is Python: a real driver's calls have costs of
their own, which each trial's telemetry records (nvml_slowest_call_s)."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from boards import Board

from bench.contract import Watched
from bench.devices import nvml
from bench.devices.mig.instances import mig_devices
from bench.devices.rehearsal import state
from bench.isolation.process import Processes
from bench.measure.conductor import TELEMETRY_INTERVAL_S
from bench.measure.telemetry import Telemetry

SOURCES = {"host": {"_target_": "bench.telemetry.host.Host"}, "nvml": {"_target_": "bench.telemetry.nvml.Nvml"}}
PAIRS = 60
BLOCK_S = 0.5


@contextmanager
def watching(folder: Path) -> Iterator[tuple[Telemetry, dict[str, Watched]]]:
    """A sampler, and tenants on all seven instances, which all are this process."""
    board = Board(folder, "h100-80gb")
    board.by_somebody_else("7x1g")
    with nvml.session(board.address.driver) as session:
        found = mig_devices(session, session.device(board.address.uuid))
    for mig in found:
        state.attach(board.path, mig.uuid)
    tenants = {f"tenant{i}": Watched(os.getpid(), mig.uuid, mig.gpu_instance) for i, mig in enumerate(found)}
    with Telemetry(Processes(), SOURCES, TELEMETRY_INTERVAL_S, {}, board.address) as telemetry:
        yield telemetry, tenants


def rounds_per_s(duration_s: float) -> float:
    """Throughput of a loop that keeps one core busy."""
    begun = now = perf_counter()
    rounds = 0
    while now - begun < duration_s:
        sum(range(2000))
        rounds += 1
        now = perf_counter()
    return rounds / (now - begun)


def test_sampler_uses_less_than_1_percent_of_a_core(benchmark: Any, tmp_path: Path) -> None:
    """Over 10 s in which the tenant keeps its core busy."""
    found: dict[str, float] = {}

    def run() -> None:
        with watching(tmp_path) as (telemetry, tenants):
            with telemetry.trial(tenants) as ticks:
                rounds_per_s(10.0)
            assert ticks.problem is None
            report = ticks.report
            found["sampler_share"] = report["cpu_s"] / ((report["t_ns"][-1] - report["t_ns"][0]) / 1e9)
            found["read_s"] = statistics.median(report["read_ns"]) / 1e9
            found["ticks"] = len(report["t_ns"])
            found["columns"] = len(report["columns"])

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    assert found["ticks"] >= 99
    assert found["sampler_share"] < 0.01


def test_a_tenants_throughput_changes_by_less_than_half_a_percent(benchmark: Any, tmp_path: Path) -> None:
    """Short blocks with and without the sampler, in balanced order; the median ratio of neighbours."""
    ratios: list[float] = []

    def run() -> None:
        with watching(tmp_path) as (telemetry, tenants):

            def block(watched: bool) -> float:
                if not watched:
                    return rounds_per_s(BLOCK_S)
                with telemetry.trial(tenants):
                    return rounds_per_s(BLOCK_S)

            rounds_per_s(BLOCK_S)
            for pair in range(PAIRS):
                order = (True, False) if pair % 2 else (False, True)
                throughput = {watched: block(watched) for watched in order}
                ratios.append(throughput[True] / throughput[False])
                time.sleep(0.01)

    benchmark.pedantic(run, rounds=1)
    median = statistics.median(ratios)
    benchmark.extra_info.update(median_ratio=median, quartiles=statistics.quantiles(ratios))
    assert median == pytest.approx(1, abs=0.005)
