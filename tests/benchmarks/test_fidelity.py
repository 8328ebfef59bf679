"""Does the instrument change what it measures? Harness against a bare loop over the same callable, in one process,
taking turns, so that whatever the machine does happens to both.

A round is one turn of each, in alternating order: the harness with its telemetry process sampling and its conductor
side waiting, the bare loop with nothing beside it. What is compared is the median latency of each turn.
"""

from __future__ import annotations

import os
import statistics
from array import array
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import numpy as np
import pytest

from bench import clock
from bench.contract import Recipe, Slot, Watched
from bench.isolation.process import Processes
from bench.measure import loop
from bench.measure.telemetry import Telemetry
from workloads.calibration import Calibration
from workloads.glyphs import Glyphs

ROUNDS = 150
TURN_S = 0.1
"""Many short turns: the machine's level shifts last longer than a round, so they cancel from its ratio."""
HOST = {"host": {"_target_": "bench.telemetry.host.Host"}}


@pytest.fixture(scope="module")
def telemetry():
    with Telemetry(Processes(), HOST, 0.1, {}) as opened:
        yield opened


def bare(call: Callable[[], Any], duration_s: float) -> float:
    """The median latency of the plainest loop there is, ns."""
    latencies = []
    end_ns = perf_counter_ns() + int(duration_s * 1e9)
    start = perf_counter_ns()
    while start < end_ns:
        start = perf_counter_ns()
        call()
        latencies.append(perf_counter_ns() - start)
    return statistics.median(latencies)


def harness(call: Callable[[], Any], duration_s: float, telemetry: Telemetry) -> float:
    """The median latency that a tenant would report, ns."""
    with telemetry.trial({"tenant0": Watched(os.getpid())}):
        stamps = loop.samples_for(int(duration_s * 1e9), 1_000.0, loop.HOST_COLUMNS)
        count = loop.record([call], stamps, clock.now_ns() + int(duration_s * 1e9))
    recorded = np.frombuffer(stamps, dtype=np.int64, count=2 * count).reshape(-1, 2)
    return float(np.median(recorded[:, 1] - recorded[:, 0]))


def compare(benchmark: Any, call: Callable[[], Any], telemetry: Telemetry) -> float:
    """Median over rounds of harness / bare."""
    for _ in range(200):
        call()
    ratios: list[float] = []

    def one_round() -> None:
        if len(ratios) % 2:
            measured = harness(call, TURN_S, telemetry)
            reference = bare(call, TURN_S)
        else:
            reference = bare(call, TURN_S)
            measured = harness(call, TURN_S, telemetry)
        ratios.append(measured / reference)

    benchmark.pedantic(one_round, rounds=ROUNDS)
    ratio = statistics.median(ratios)
    benchmark.extra_info["harness_over_bare"] = ratio
    benchmark.extra_info["ratios"] = ratios
    return ratio


def test_calibration_specimen_of_1_ms(benchmark: Any, telemetry: Telemetry) -> None:
    specimen = Calibration(duration_ms=1.0)
    call = partial(specimen.load(), specimen.inputs(1, 0))
    assert compare(benchmark, call, telemetry) == pytest.approx(1.0, abs=0.01)


def test_mlp_of_20_to_50_microseconds(benchmark: Any, telemetry: Telemetry) -> None:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    mlp = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 64)).eval()
    with torch.inference_mode():
        call = partial(mlp, torch.rand(1, 256))
        ratio = compare(benchmark, call, telemetry)
        benchmark.extra_info["request_us"] = bare(call, TURN_S) / 1e3
    assert ratio == pytest.approx(1.0, abs=0.01)


def test_glyphs(benchmark: Any, telemetry: Telemetry, tmp_path: Any) -> None:
    from bench.runtimes.torch_eager import TorchEager

    glyphs = Glyphs()
    with TorchEager().load(Recipe(glyphs), tmp_path, Slot(index=0, threads=1)) as loaded:
        call = loaded.bind(glyphs.inputs(1, 0))
        assert compare(benchmark, call, telemetry) == pytest.approx(1.0, abs=0.01)


def test_the_recording_loop_costs_at_most_half_a_microsecond(benchmark: Any) -> None:
    """A call that does nothing, recorded, against the same number of bare calls: the difference is the loop."""

    def nothing() -> None:
        return None

    requests = 200_000
    costs: list[float] = []

    def one_round() -> None:
        stamps = array("q", bytes(8 * loop.HOST_COLUMNS * requests))
        start = perf_counter_ns()
        for _ in range(requests):
            nothing()
        bare_ns = perf_counter_ns() - start
        start = perf_counter_ns()
        count = loop.record([nothing], stamps, clock.now_ns() + 60_000_000_000)
        recorded_ns = perf_counter_ns() - start
        assert count == requests
        costs.append((recorded_ns - bare_ns) / requests)

    benchmark.pedantic(one_round, rounds=20)
    benchmark.extra_info["loop_ns_per_request"] = statistics.median(costs)
    assert statistics.median(costs) <= 500
