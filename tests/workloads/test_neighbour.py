"""Each load does what it is called, by its structure: what it touches and counts, not how long it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pydantic
import pytest
import torch
from omegaconf import OmegaConf
from torch.utils.flop_counter import FlopCounterMode

from bench.contract import Neighbours, Optimization, Recipe, Slot, Workload
from bench.runtimes.torch_eager import TorchEager
from workloads import neighbour_loads
from workloads.neighbour import WORKING_SET_BYTES, Neighbour

CONFIGS = Path(__file__).parents[2] / "configs"
HOGS = {"compute_hog": "compute", "memory_hog": "memory", "cache_hog": "cache", "bursty": "bursty"}
SMALL = {"compute": 3 * 2**16, "memory": 2**22, "cache": 2**22, "bursty": 3 * 2**16}
"""Working sets that tests can fill quickly."""


def small(load: str, **options: Any) -> Neighbour:
    return Neighbour(load=load, working_set_bytes=SMALL[load], **options)


def call(workload: Neighbour, model: Any, batch_size: int = 1) -> Any:
    with torch.inference_mode():
        return model(**{name: torch.tensor(array) for name, array in workload.inputs(batch_size, seed=3).items()})


def flops(workload: Neighbour, batch_size: int = 1) -> int:
    model = workload.load()
    with FlopCounterMode(display=False) as counter:
        call(workload, model, batch_size)
    return int(counter.get_total_flops())


def working_set_bytes(model: Any) -> int:
    """Of the buffers, less those that only a GPU uses whole."""
    return sum(part.numel() * part.element_size() for part in model.buffers())


# --- what each load touches ---


def test_compute_multiplies_matrices_of_which_three_fill_the_working_set() -> None:
    n = 128
    assert 3 * 4 * n**2 == SMALL["compute"]
    assert flops(small("compute")) == 2 * n**3
    assert flops(small("compute"), batch_size=3) == 3 * 2 * n**3
    model = small("compute").load()
    assert model.part(model.left).shape == model.part(model.out).shape == model.right.shape == (n, n)
    call(small("compute"), model)
    torch.testing.assert_close(model.out[:n], model.left[:n] @ model.right)


def test_a_gpu_multiplies_all_matrices_at_once() -> None:
    model = small("compute").load()
    on_gpu = type("Gpu", (), {"is_cuda": True})()
    assert model.part(on_gpu) is on_gpu
    assert model.left.shape == model.out.shape == (neighbour_loads.PRODUCTS * 128, 128)


def test_memory_streams_through_all_of_the_working_set_in_turn() -> None:
    workload = Neighbour(load="memory", working_set_bytes=3 * neighbour_loads.TRIAD_PART_BYTES)
    model = workload.load()
    assert working_set_bytes(model) == pytest.approx(workload.size_bytes, abs=100)
    third = len(model.out) // 3
    for done in range(1, 4):
        call(workload, model)
        assert int((model.out == 7.0).sum()) == done * third  # 1 + 2 x 3, written once for each element
    model.out.zero_()
    call(workload, model)
    assert int((model.out[:third] == 7.0).sum()) == third  # and from the start again
    assert flops(workload) == 0


def test_cache_reads_nearly_every_line_of_its_table_in_random_order() -> None:
    workload = small("cache")
    model = workload.load()
    assert model.table.numel() * 4 == SMALL["cache"]
    lines = len(model.table)
    read: list[int] = []
    for _ in range(model.parts):
        read += model.part(model.order).flatten().tolist()
        call(workload, model)
    assert read == model.order.flatten().tolist()
    assert len(read) == neighbour_loads.TIMES_THROUGH * lines
    assert len(set(read)) > 0.99 * lines
    steps = np.abs(np.diff(np.array(read)))
    assert np.median(steps) > lines / 10  # no prefetcher follows this
    assert flops(workload) == 0


def test_what_is_gathered_is_small_beside_the_table_that_it_comes_from() -> None:
    model = small("cache").load()
    sums = model.do()
    assert sums.numel() * 128 == model.part(model.order).numel() * neighbour_loads.LINE_FLOATS
    assert float(sums.min()) == float(sums.max()) == neighbour_loads.LINES_OF_BAG
    assert working_set_bytes(model) < 1.3 * SMALL["cache"]  # with the order


class Clock:
    """Time that passes only when somebody works (1 ms each) or sleeps."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.slept_s: list[float] = []

    def perf_counter_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_ns += round(seconds * 1e9)


@pytest.mark.parametrize(("burst_ms", "pause_ms"), [(50.0, 50.0), (10.0, 90.0)])
def test_a_burst_computes_for_its_time_and_then_pauses(
    burst_ms: float, pause_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(neighbour_loads, "time", clock)
    workload = small("bursty", burst_ms=burst_ms, pause_ms=pause_ms)
    model = workload.load()
    products, multiply = [], model.do

    def one_millisecond() -> Any:
        clock.now_ns += 1_000_000
        products.append(clock.now_ns)
        return multiply()

    model.do = one_millisecond
    call(workload, model, batch_size=2)
    assert len(products) == 2 * burst_ms
    assert clock.slept_s == pytest.approx([pause_ms / 1e3], rel=0.05)  # a burst ends with a whole product
    assert clock.now_ns == pytest.approx((2 * burst_ms + pause_ms) * 1e6, rel=0.05)


# --- what it is to bench ---


@pytest.mark.parametrize("load", SMALL)
def test_it_answers_with_what_it_was_asked_whatever_the_batch(load: str) -> None:
    workload = small(load, burst_ms=1.0, pause_ms=1.0)
    model = workload.load()
    for batch_size in (1, 4):
        answer = call(workload, model, batch_size)
        assert answer.shape == (batch_size, 1)
        assert torch.isfinite(answer).all()
    assert all(torch.isfinite(part).all() for part in model.buffers() if part is not getattr(model, "out", None))
    assert workload.evaluation() is None


@pytest.mark.parametrize("load", SMALL)
def test_two_processes_do_the_same_work(load: str) -> None:
    first, second = (dict(small(load).load().named_buffers()) for _ in range(2))
    assert first.keys() == second.keys()
    for name in first.keys() - {"out"}:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


@pytest.mark.parametrize(("load", "precision"), [("compute", "fp32"), ("bursty", "fp32"), ("memory", "none")])
def test_torch_eager_runs_it_and_proves_what_there_is_to_prove(load: str, precision: str) -> None:
    """Streams and gathers have no heavy operators, so no precision."""
    workload = small(load, burst_ms=1.0, pause_ms=1.0)
    inputs = workload.inputs(1, seed=0)
    with TorchEager().load(Recipe(workload), Path(), Slot(index=0, threads=torch.get_num_threads())) as loaded:
        assert loaded.outputs(loaded.bind(inputs)()).tolist() == [[0.0]]
        assert loaded.prove(inputs).precision == precision


def test_identity_tells_apart_what_differs_and_nothing_else() -> None:
    default = {load: Neighbour(load=load).identity() for load in SMALL}
    assert len({json.dumps(dict(found), sort_keys=True) for found in default.values()}) == len(SMALL)
    for load, size_bytes in WORKING_SET_BYTES.items():
        assert Neighbour(load=load, working_set_bytes=size_bytes).identity() == default[load]
        assert Neighbour(load=load, working_set_bytes=2 * size_bytes).identity() != default[load]
    assert Neighbour(load="bursty", pause_ms=1.0).identity() != default["bursty"]
    assert Neighbour(load="compute", pause_ms=1.0).identity() == default["compute"]


@pytest.mark.parametrize(
    "options",
    [
        {"load": "nothing"},
        {"load": "compute", "working_set_bytes": 0},
        {"load": "compute", "working_set_bytes": 2**50},
        {"load": "bursty", "burst_ms": 0},
        {"load": "bursty", "pause_ms": float("inf")},
        {"load": "cache", "speed": 1},
        {},
    ],
)
def test_what_cannot_be_is_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Neighbour(**options)


@pytest.mark.parametrize("load", WORKING_SET_BYTES)
def test_the_least_working_set_still_works(load: str) -> None:
    workload = Neighbour(load=load, working_set_bytes=2**16, burst_ms=1.0, pause_ms=1.0)
    assert call(workload, workload.load()).shape == (1, 1)


def test_the_conductor_learns_all_it_needs_without_torch() -> None:
    code = (
        "import sys\nfrom workloads.neighbour import Neighbour\nNeighbour(load='cache').identity()\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=CONFIGS.parent)


# --- configuration ---


def test_the_workload_configuration_is_the_default_one() -> None:
    workload = hydra.utils.instantiate(OmegaConf.load(CONFIGS / "workload" / "neighbour.yaml"), _convert_="all")
    assert isinstance(workload, Workload)
    assert workload == Neighbour(load="compute")


@pytest.mark.parametrize(("name", "load"), HOGS.items())
def test_each_neighbour_is_its_load_in_the_plain_fp32(name: str, load: str) -> None:
    node = OmegaConf.load(CONFIGS / "neighbours" / f"{name}.yaml")
    assert list(node) == [name]
    found = hydra.utils.instantiate(node[name], _convert_="all")
    assert isinstance(found, Neighbours)
    assert isinstance(found.workload, Neighbour)
    assert found.workload.identity() == Neighbour(load=load).identity()
    fp32 = hydra.utils.instantiate(OmegaConf.load(CONFIGS / "optimizations" / "fp32.yaml").fp32, _convert_="all")
    assert isinstance(found.optimization, Optimization)
    assert found.optimization == fp32
