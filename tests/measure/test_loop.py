"""The recording loops on a GPU, with one that is only pretended: a queue on a clock that moves when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import Array, Arrays, Loaded, Proof, Requests, Stream
from bench.measure import bound, loop
from bench.measure.bound import MOST_INPUTS, BoundRequests, bind_requests, inputs_needed

QUEUEING_NS = 3_000
"""What a call costs the host."""


class Pretended(Stream):
    """A GPU that works through its queue one request after the other, and the clock of its host."""

    l2_bytes = 1_000

    def __init__(self, work_ns: int) -> None:
        self.work_ns = work_ns
        self.now_ns = 1_000_000
        self.busy_until_ns = 0
        self.flushes = 0
        self.deepest = 0
        self._ends: list[int] = []

    def call(self) -> None:
        self.now_ns += QUEUEING_NS
        self.busy_until_ns = max(self.busy_until_ns, self.now_ns) + self.work_ns
        self._ends.append(self.busy_until_ns)
        self.deepest = max(self.deepest, sum(end > self.now_ns for end in self._ends[-20:]))

    def event(self) -> PretendedEvent:
        return PretendedEvent(self)

    def wait(self) -> None:
        self.now_ns = max(self.now_ns, self.busy_until_ns)

    def flush_l2(self) -> None:
        self.flushes += 1
        self.busy_until_ns = max(self.busy_until_ns, self.now_ns) + 500


class PretendedEvent:
    def __init__(self, stream: Pretended) -> None:
        self.stream = stream
        self.at_ns = 0

    def record(self) -> None:
        self.at_ns = max(self.stream.now_ns, self.stream.busy_until_ns)

    def synchronize(self) -> None:
        self.stream.now_ns = max(self.stream.now_ns, self.at_ns)

    def elapsed_time(self, end: PretendedEvent) -> float:
        return (end.at_ns - self.at_ns) / 1e6


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Pretended]:
    def make(work_ns: int) -> Pretended:
        made = Pretended(work_ns)
        monkeypatch.setattr(loop, "now_ns", lambda: made.now_ns)
        monkeypatch.setattr(bound, "now_ns", lambda: made.now_ns)
        return made

    return make


def recorded(gpu: Pretended, requests: Requests, duration_ns: int = 400_000, room: int | None = None) -> np.ndarray:
    issued = BoundRequests([gpu.call, gpu.call], gpu, requests, 0).warmed()
    samples = issued.samples_for(duration_ns, 1_000)
    if room is not None:
        samples = samples[: room * issued.columns]
    count = issued.record(samples, gpu.now_ns + duration_ns)
    return np.array(samples[: count * issued.columns]).reshape(-1, issued.columns)


def test_one_at_a_time_each_request_is_timed_by_the_gpu_and_waited_for(gpu: Callable[[int], Pretended]) -> None:
    device = gpu(20_000)
    rows = recorded(device, Requests())
    # The GPU stands idle until the host has queued the request: that is part of what the request takes.
    assert (rows[:, 2] == QUEUEING_NS + 20_000).all()
    assert (rows[:, 3] == QUEUEING_NS).all()
    assert (rows[:, 1] - rows[:, 0] == rows[:, 2]).all()
    assert device.deepest == 1
    assert rows[-1, 1] >= 1_400_000 > rows[-2, 1], "it ends with the first request that is over the time"


def test_back_to_back_the_gpu_never_waits_and_the_rows_add_up_to_the_wall_clock(
    gpu: Callable[[int], Pretended],
) -> None:
    device = gpu(20_000)
    rows = recorded(device, Requests(back_to_back=True))
    assert device.deepest == loop.DEPTH
    assert (rows[1:, 2] == 20_000).all(), "queueing is hidden behind the work"
    assert all(end == start for (_, end, *_), (start, *_) in pairwise(rows.tolist()))
    assert device.now_ns >= device.busy_until_ns, "nothing is left in the queue"


def test_a_host_that_is_slower_than_the_gpu_shows(gpu: Callable[[int], Pretended]) -> None:
    rows = recorded(gpu(500), Requests(back_to_back=True))
    assert rows[4:, 3].sum() / rows[4:, 2].sum() == pytest.approx(1)
    assert recorded(gpu(300_000), Requests(back_to_back=True))[2:, 3].sum() < 0.02 * 300_000


def test_a_model_that_looks_at_a_result_while_it_runs_is_not_called_bound_by_the_host(
    gpu: Callable[[int], Pretended],
) -> None:
    """transformers ask their attention mask, on the GPU, whether it is all ones: that waits for all that is queued."""
    device = gpu(0)

    def look_and_work() -> None:
        device.call()  # the little that is looked at
        device.wait()
        device.work_ns = 50_000
        device.call()
        device.work_ns = 100

    issued = BoundRequests([look_and_work], device, Requests(back_to_back=True), 0).warmed()
    samples = issued.samples_for(1_000_000, 1_000)
    count = issued.record(samples, device.now_ns + 1_000_000)
    rows = np.array(samples[: 4 * count]).reshape(-1, 4)[2:]
    assert rows[:, 3].sum() / rows[:, 2].sum() < 0.2


def test_there_is_room_for_as_many_requests_as_the_host_can_queue(gpu: Callable[[int], Pretended]) -> None:
    """Waited for, a request of a tiny model takes many times longer than back to back."""
    device = gpu(100)
    issued = BoundRequests([device.call], device, Requests(back_to_back=True), 0).warmed()
    assert issued.queueing_ns == QUEUEING_NS
    room = len(issued.samples_for(100 * QUEUEING_NS * 1000, request_ns=20 * QUEUEING_NS)) // issued.columns
    assert room >= 2 * 100 * 1000


def test_cold_requests_find_an_emptied_cache_and_the_emptying_is_not_in_their_time(
    gpu: Callable[[int], Pretended],
) -> None:
    device = gpu(20_000)
    rows = recorded(device, Requests(cold=True))
    assert device.flushes == len(rows)
    assert (rows[:, 2] == QUEUEING_NS + 20_000).all()


@pytest.mark.parametrize("requests", [Requests(), Requests(back_to_back=True)])
def test_it_ends_where_there_is_no_more_room(gpu: Callable[[int], Pretended], requests: Requests) -> None:
    assert len(recorded(gpu(1_000), requests, duration_ns=10_000_000, room=7)) == 7


# --- which inputs -----------------------------------------------------------------------------------------------


class Bindable(Loaded):
    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream
        self.bound: list[str] = []

    @property
    def stream(self) -> Stream | None:
        return self._stream

    def bind(self, inputs: Arrays) -> Callable[[], object]:
        self.bound.append("bind")
        return lambda: None

    def outputs(self, result: object) -> Array:
        return np.zeros(1)

    def prove(self, inputs: Arrays) -> Proof:
        return Proof("fp32")


def inputs(index: int) -> Arrays:
    return {"x": np.zeros(25, dtype=np.float32)}


def test_as_many_inputs_take_turns_as_defeat_the_cache() -> None:
    loaded = Bindable(Pretended(1))
    made = bind_requests(loaded, Requests(), inputs)
    assert len(made.calls) == 20  # of 100 bytes each, before a cache of 1000
    assert (made.detail()["inputs"], made.detail()["weights"]) == ("cold", "as the last request left them")


def test_inputs_that_cannot_defeat_the_cache_are_called_hot() -> None:
    stream = Pretended(1)
    stream.l2_bytes = 50_000_000
    made = bind_requests(Bindable(stream), Requests(), inputs)
    assert len(made.calls) == MOST_INPUTS
    assert made.detail()["inputs"] == "hot"
    emptied = bind_requests(Bindable(stream), Requests(cold=True), inputs).detail()
    assert (emptied["inputs"], emptied["weights"]) == ("cold", "cold")


def test_on_a_cpu_there_are_four_and_nothing_to_name() -> None:
    made = bind_requests(Bindable(None), Requests(transfers=True, cold=True, back_to_back=True), inputs)
    assert (len(made.calls), made.columns, made.detail()) == (4, loop.HOST_COLUMNS, {})


def test_a_gpu_runtime_that_cannot_measure_transfers_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Bindable cannot measure with transfers"):
        bind_requests(Bindable(Pretended(1)), Requests(transfers=True), inputs)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_inputs_needed_is_enough_or_the_most(each_bytes: int, l2_bytes: int) -> None:
    count = inputs_needed(each_bytes, l2_bytes)
    assert 4 <= count <= MOST_INPUTS
    assert count * each_bytes >= 2 * l2_bytes or count == MOST_INPUTS or not each_bytes
    assert count == 4 or (count - 1) * each_bytes < 2 * l2_bytes
