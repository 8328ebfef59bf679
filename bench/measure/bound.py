"""Requests that are bound and ready to be issued: inputs in turns, and the loop that suits where they execute."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle, islice
from statistics import median
from typing import Any

from bench.clock import now_ns
from bench.contract import Arrays, Loaded, Requests, Stream
from bench.measure import loop
from bench.measure.loop import Calls

FEWEST_INPUTS = 4
"""Different requests that take turns, so that no branch predictor learns a single one."""
MOST_INPUTS = 256
"""More would take memory, and time to make."""
CACHE_MULTIPLE = 2
"""Inputs that take turns are together this many times the cache: nothing is left of one when its turn comes."""
QUEUEING_CALLS = 10
"""Of which the median tells what the host needs to queue one."""


@dataclass(frozen=True)
class BoundRequests:
    """Of one batch size. `stream` is None where calls return when they are finished.

    input_bytes: of all inputs that take turns.
    queueing_ns: what the host needs to queue one into an empty queue; 0: not measured."""

    calls: Calls
    stream: Stream | None
    requests: Requests
    input_bytes: int
    queueing_ns: int = 0

    @property
    def finished_calls(self) -> Calls:
        """The same calls, which return when their work is finished: for warming up."""
        stream = self.stream
        return self.calls if stream is None else [_and_wait(call, stream) for call in self.calls]

    @property
    def columns(self) -> int:
        return loop.HOST_COLUMNS if self.stream is None else loop.GPU_COLUMNS

    def warmed(self) -> BoundRequests:
        """The same, when everything is warm, with `queueing_ns` where requests come back to back. It cannot be
        measured then: with a full queue, or in a model that looks at a result, the host also waits for the GPU."""
        stream = self.stream
        if stream is None or not self.requests.back_to_back:
            return self
        times_ns = []
        for call in islice(cycle(self.calls), QUEUEING_CALLS):
            stream.wait()
            start_ns = now_ns()
            call()
            times_ns.append(now_ns() - start_ns)
        stream.wait()
        return replace(self, queueing_ns=round(median(times_ns)))

    def samples_for(self, duration_ns: int, request_ns: float) -> array[int]:
        """Room for the requests of `duration_ns`; `request_ns`: what one took that was waited for. Back to back they
        are faster, but never than the host can queue them."""
        each_ns = min(request_ns, self.queueing_ns) if self.queueing_ns else request_ns
        return loop.samples_for(duration_ns, each_ns, self.columns)

    def record(self, samples: array[int], end_ns: int) -> int:
        """Issue requests until `end_ns`; how many were recorded."""
        if self.stream is None:
            return loop.record(self.calls, samples, end_ns)
        if self.requests.back_to_back:
            return loop.record_back_to_back(self.calls, self.stream, samples, end_ns, self.queueing_ns)
        return loop.record_each(self.calls, self.stream, samples, end_ns, self.requests.cold)

    def detail(self) -> dict[str, Any]:
        """What the numbers mean, for the record: nothing to add on a CPU."""
        if self.stream is None:
            return {}
        cold_inputs = self.requests.cold or self.input_bytes >= CACHE_MULTIPLE * self.stream.l2_bytes
        return {
            "latency": "wall clock, back to back" if self.requests.back_to_back else "events, each waited for",
            "transfers": "included" if self.requests.transfers else "excluded",
            "inputs": "cold" if cold_inputs else "hot",
            "weights": "cold" if self.requests.cold else "as the last request left them",
            **({"throughput": "with the time of emptying the cache"} if self.requests.cold else {}),
            "input_buffers": len(self.calls),
            "input_bytes": self.input_bytes,
            "l2_bytes": self.stream.l2_bytes,
        }


def bind_requests(loaded: Loaded, requests: Requests, inputs: Callable[[int], Arrays]) -> BoundRequests:
    """Bind as many different inputs (`inputs(index)`) as it takes to defeat the cache, if that is possible."""
    first = inputs(0)
    each_bytes = sum(array.nbytes for array in first.values())
    count = inputs_needed(each_bytes, loaded.stream.l2_bytes if loaded.stream else 0)
    bind = loaded.bind_with_transfers if requests.transfers else loaded.bind
    calls = [bind(first), *(bind(inputs(index)) for index in range(1, count))]
    made = BoundRequests(calls, loaded.stream, requests, count * each_bytes)
    made.finished_calls[0]()  # what a runtime does at its first call (compile for seconds) is loading, not warming up
    return made


def inputs_needed(each_bytes: int, l2_bytes: int) -> int:
    """How many inputs of `each_bytes` take turns before a cache of `l2_bytes`."""
    wanted = -(-CACHE_MULTIPLE * l2_bytes // each_bytes) if each_bytes else 0
    return max(FEWEST_INPUTS, min(MOST_INPUTS, wanted))


def _and_wait(call: Callable[[], Any], stream: Stream) -> Callable[[], Any]:
    def call_and_wait() -> Any:
        result = call()
        stream.wait()
        return result

    return call_and_wait
