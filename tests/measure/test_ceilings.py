"""What a slot reaches at most: measured once, kept like an artifact, and unknown with a reason where it cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import feasibility
from bench.contract import Device, Slot
from bench.devices.host import cpu_device
from bench.measure import ceilings, rates
from bench.measure.ceilings import Ceilings, find_or_measure
from bench.measure.link import ChildFailed

CPU_SLOT = Slot(index=0, threads=3)
GPU_SLOT = Slot(index=0, threads=3, executes_on="cuda", gpu="GPU-1", sm_count=132)
NO_SUCH_PLACE = Path("/nonexistent")


def gpu(driver: str = "590.1", **changed: Any) -> Device:
    told: Any = SimpleNamespace(driver_version=driver, compute_capability=(9, 0))
    return replace(Device(kind="cuda", name="a GPU", cpus=(0,), memory_bytes=2**30, gpu=told, host="a CPU"), **changed)


def refuse(*_: Any) -> dict[str, Any]:
    raise AssertionError("nothing is to be measured here")


def test_a_cpu_is_measured_once(own_surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = cpu_device()
    found = find_or_measure(own_surroundings, device, CPU_SLOT, {})
    assert found.unknown is None
    fp32 = found.flop_ceiling("fp32", CPU_SLOT)
    assert fp32 > 3e8  # three threads; the slowest machine that runs this has more
    assert fp32 == pytest.approx(3 * found.flop_ceiling("fp32", replace(CPU_SLOT, threads=1)))
    assert all(
        rate >= rates.NATIVE * found.flop_per_s["fp32"] for name, rate in found.flop_per_s.items() if name != "fp32"
    )
    assert math.isnan(found.bytes_per_s)

    monkeypatch.setattr(ceilings, "in_builder", refuse)
    again = find_or_measure(own_surroundings, device, replace(CPU_SLOT, threads=1), {})
    assert again.flop_per_s == found.flop_per_s


def answers(monkeypatch: pytest.MonkeyPatch, *rates_per_s: float) -> Iterator[float]:
    """A builder that says that fp32 reaches one of these rates after the other; what is returned are those left."""
    left = iter(rates_per_s)

    def say(_: Any, do: str, *__: Any) -> dict[str, Any]:
        assert do == "reach"
        return {"flop_per_s": {"fp32": next(left)}, "bytes_per_s": 1e12, "l2_bytes": 5e7, "measure_s": 1.0}

    monkeypatch.setattr(ceilings, "torch_infeasible", lambda _: None)
    monkeypatch.setattr(ceilings, "in_builder", say)
    return left


def test_a_cpus_ceilings_that_were_damaged_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = answers(monkeypatch, 1e12, 2e12)
    assert find_or_measure(tmp_path, cpu_device(), CPU_SLOT, {}) == Ceilings({"fp32": 1e12}, 1e12, 5e7)
    (kept,) = tmp_path.glob("ceilings-*")
    (kept / ceilings.RATES).write_text("{")
    assert find_or_measure(tmp_path, cpu_device(), CPU_SLOT, {}) == Ceilings({"fp32": 2e12}, 1e12, 5e7)
    assert not list(left)


def test_a_gpus_ceilings_are_kept_for_no_later_run(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, 1e12, 2e12)
    for rate in (1e12, 2e12):
        assert find_or_measure(NO_SUCH_PLACE, gpu(), GPU_SLOT, {}) == Ceilings({"fp32": rate}, 1e12, 5e7)


def test_a_measurement_that_fails_holds_no_trial_to_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise ChildFailed("it was killed by signal 9")

    monkeypatch.setattr(ceilings, "torch_infeasible", lambda _: None)
    monkeypatch.setattr(ceilings, "in_builder", fail)
    for device, slot in ((gpu(), GPU_SLOT), (cpu_device(), CPU_SLOT)):
        found = find_or_measure(tmp_path, device, slot, {})
        assert found.unknown == "what this device reaches could not be measured: it was killed by signal 9"
        assert math.isnan(found.flop_ceiling("fp32", slot))
    assert not list(tmp_path.glob("ceilings-*/artifact.json"))


def test_a_measurement_that_says_something_else_is_no_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "torch_infeasible", lambda _: None)
    monkeypatch.setattr(ceilings, "in_builder", lambda *_: {"flop_per_s": {"fp32": "fast"}})
    assert "cannot be read" in (find_or_measure(NO_SUCH_PLACE, gpu(), GPU_SLOT, {}).unknown or "")


def test_where_nothing_can_be_measured_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "in_builder", refuse)
    rehearsed = find_or_measure(NO_SUCH_PLACE, gpu(rehearsal=True), CPU_SLOT, {})
    assert rehearsed.unknown == "a rehearsed GPU has no speed"
    monkeypatch.setattr(ceilings, "torch_infeasible", lambda _: "the installed torch has no CUDA")
    assert find_or_measure(NO_SUCH_PLACE, gpu(), GPU_SLOT, {}).unknown == "the installed torch has no CUDA"
    monkeypatch.setattr(feasibility, "importable", lambda _: False)
    assert "torch, which is not installed" in (find_or_measure(NO_SUCH_PLACE, gpu(), GPU_SLOT, {}).unknown or "")


@given(fp16=st.floats(1e9, 1e16), bf16=st.floats(1e9, 1e16), threads=st.integers(1, 128))
def test_precisions_that_are_multiplied_in_another(fp16: float, bf16: float, threads: int) -> None:
    found = Ceilings({"fp16": fp16, "bf16": bf16})
    assert found.flop_ceiling("fp16_2to4", GPU_SLOT) == 2 * fp16
    assert found.flop_ceiling("bf16_2to4", GPU_SLOT) == 2 * bf16
    assert found.flop_ceiling("int4wo", GPU_SLOT) == max(fp16, bf16)
    assert math.isnan(found.flop_ceiling("fp8", GPU_SLOT))
    assert math.isnan(Ceilings({"fp32": 1e12}).flop_ceiling("int4wo", GPU_SLOT))
    assert found.flop_ceiling("bf16", replace(CPU_SLOT, threads=threads)) == bf16 * threads


# --- the process that measures -------------------------------------------------------------------------------------


def product(size: int) -> Callable[[], Any]:
    return lambda: size


def test_the_best_of_all_sizes_counts() -> None:
    seconds = {10: 1e-3, 20: 2e-3, 30: 50e-3}
    assert rates.best_rate(product, (10, 20, 30), lambda call: seconds[call()]) == pytest.approx(2 * 20**3 / 2e-3)


def test_a_size_that_cannot_be_multiplied_ends_the_search() -> None:
    def limited(size: int) -> Callable[[], Any]:
        if size > 10:
            raise RuntimeError("out of memory")
        return product(size)

    assert rates.best_rate(limited, (10, 20), lambda _: 1e-3) == pytest.approx(2 * 10**3 / 1e-3)
    assert rates.best_rate(limited, (20, 30), lambda _: 1e-3) == 0.0


def test_what_is_emulated_is_not_tried_at_sizes_that_would_take_long() -> None:
    tried: list[int] = []

    def timer(call: Callable[[], Any]) -> float:
        tried.append(call())
        return 0.5

    rates.best_rate(product, (10, 1000), timer)
    assert tried == [10]


class Queue:
    """A stream that executes what was queued only when somebody waits; calls take the times that they are given."""

    def __init__(self, durations_ms: Sequence[float]) -> None:
        self.durations_ms, self.queued_ms, self.waits = iter(durations_ms), 0.0, 0

    def call(self) -> None:
        self.queued_ms += next(self.durations_ms)

    def event(self) -> Moment:
        return Moment(self)

    def wait(self) -> None:
        self.waits += 1


class Moment:
    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    def record(self) -> None:
        self.at_ms, self.waits = self.queue.queued_ms, self.queue.waits

    def elapsed_time(self, end: Moment) -> float:
        assert end.waits == self.waits, "the stream ran empty between two events"
        return end.at_ms - self.at_ms


def test_on_a_stream_the_shortest_of_calls_that_are_queued_together_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_RUNS", 4)
    queue = Queue([9.0, 1.0, 4.0, 3.0, 5.0, 3.5])  # the first two are not timed
    timer = rates._stream_timer(SimpleNamespace(stream=queue))  # type: ignore[arg-type]
    assert timer(queue.call) == pytest.approx(3.0e-3)
