"""A tenant: loads one model, warms up, waits for the others, measures, proves what ran.

`python -m bench.measure.tenant`. It speaks JSON lines (`bench/wire.py`). Nothing heavy is imported before the process
has confined itself.
"""

from __future__ import annotations

from bench.isolation.confine import confine_from_environment

if __name__ == "__main__":
    confine_from_environment()

import os
import sys
import traceback
from contextlib import suppress
from typing import Any

from bench import clock, wire
from bench.contract import Loaded, Requests, Slot
from bench.devices.rehearsal.client import attach_from_environment
from bench.isolation.cdi.arrival import check_arrival, check_cuda_arrival
from bench.isolation.versions.arrived import check_version
from bench.measure import steady, window
from bench.measure.bound import BoundRequests, bind_requests
from bench.measure.probe import distance
from bench.measure.task import OpenTask, Task

FIRST = ("answer", "heat")
"""What a tenant is asked to do when it is its first answer that is timed."""


def main() -> None:
    channel = wire.Channel()
    try:
        request = channel.receive()
        if request is not None:
            _serve(channel, request)
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        channel.send("failed", what=wire.told(error))
        raise SystemExit(1) from error


def _serve(channel: wire.Channel, request: dict[str, Any]) -> None:
    started_ns = clock.now_ns()
    with suppress(OSError):  # in a container it is there when something below it is
        os.chdir(request["working_folder"])  # users' relative paths mean what they meant to the conductor
    opened = Task(**request["task"]).open()
    slot = Slot(**request["slot"])
    check_arrival()
    attach_from_environment()
    with opened.load(slot) as loaded:
        load_s = clock.seconds(clock.now_ns() - started_ns)
        check_version(opened.task.artifacts())
        channel.send("loaded", load_s=load_s)
        if slot.executes_on == "cuda":
            check_cuda_arrival()
        if request["do"] == "search":
            _search(channel, request, opened, loaded)
        elif request["do"] in FIRST:
            _answer(channel, request, opened, loaded, load_s)
        else:
            _measure(channel, request, opened, loaded)


def _answer(channel: wire.Channel, request: dict[str, Any], opened: OpenTask, loaded: Loaded, load_s: float) -> None:
    """Answer one request. A preheated tenant has done so before, and waits for the word."""
    begun_ns = clock.now_ns()
    inputs = opened.workload.inputs(opened.task.batch_size, request["seed"])
    inputs_s = clock.seconds(clock.now_ns() - begun_ns)
    if request["do"] == "heat":
        loaded.outputs(loaded.bind(inputs)())
        inputs_s = load_s = 0.0  # before the clock runs
        channel.send("heated")
        if channel.receive() is None:
            return
    begun_ns = clock.now_ns()
    loaded.outputs(loaded.bind(inputs)())
    answered_ns = clock.now_ns()
    channel.send(
        "answered",
        t_ns=answered_ns,
        inputs_s=inputs_s,  # making a request is its client's part
        load_s=load_s,
        first_s=clock.seconds(answered_ns - begun_ns),
        peak_rss_bytes=window.peak_rss_bytes(),
    )
    go = channel.receive()
    if go is not None:
        _prove(channel, opened, loaded, go["probe"])


def _bind(request: dict[str, Any], opened: OpenTask, loaded: Loaded, batch_size: int) -> BoundRequests:
    seed, requests = request["seed"], Requests(**request["requests"])
    return bind_requests(loaded, requests, lambda index: opened.workload.inputs(batch_size, seed + index))


def _search(channel: wire.Channel, request: dict[str, Any], opened: OpenTask, loaded: Loaded) -> None:
    """Items per second at one candidate batch size after the other, each when the conductor says so."""
    protocol = request["protocol"]
    while (candidate := channel.receive()) is not None:
        batch_size = candidate["batch_size"]
        bound = _bind(request, opened, loaded, batch_size)
        warm = steady.warm_up(bound.finished_calls, protocol["warmup_min_s"], protocol["warmup_limit_s"])
        bound = bound.warmed()
        window_ns = int(max(protocol["window_s"] * clock.NS_PER_S, 3 * warm.request_ns))
        samples = bound.samples_for(window_ns, warm.request_ns)
        count = bound.record(samples, clock.now_ns() + window_ns)
        elapsed_s = clock.seconds(samples[bound.columns * (count - 1) + 1] - samples[0])
        channel.send("searched", throughput_per_s=batch_size * count / elapsed_s)


def _measure(channel: wire.Channel, request: dict[str, Any], opened: OpenTask, loaded: Loaded) -> None:
    protocol = request["protocol"]
    bound = _bind(request, opened, loaded, opened.task.batch_size)
    warm = steady.warm_up(bound.finished_calls, protocol["warmup_min_s"], protocol["warmup_limit_s"])
    bound = bound.warmed()
    channel.send("ready", warmup=vars(warm), t_ns=clock.now_ns())
    request_ns = warm.request_ns
    while (arm := channel.receive()) is not None and "until_ns" in arm:
        request_ns = _together(bound, arm["until_ns"], request_ns)
        channel.send("together", request_ns=request_ns)
    if arm is None:
        return
    # What takes long comes before the barrier, or it would eat into the window.
    samples = bound.samples_for(arm["duration_ns"], min(request_ns, warm.request_ns))
    with window.no_collection():
        channel.send("armed")
        go = channel.receive()
        if go is None:
            return
        measured = window.recorded(bound, samples, go["start_ns"], go["end_ns"])
    channel.send("measured", **measured)
    _prove(channel, opened, loaded, go["probe"])


def _together(bound: BoundRequests, until_ns: int, alone_ns: float) -> float:
    """What a request takes, ns, while the other tenants issue theirs."""
    begun_ns, count = clock.now_ns(), 0
    while (now_ns := clock.now_ns()) < until_ns:
        bound.finished_calls[count % len(bound.finished_calls)]()
        count += 1
    return (now_ns - begun_ns) / count if count else alone_ns


def _prove(channel: wire.Channel, opened: OpenTask, loaded: Loaded, probe: str | None) -> None:
    """What really ran, and how far its outputs are from those that were judged, which `probe` names."""
    inputs = opened.probe_inputs()
    apart = distance(loaded.outputs(loaded.bind(inputs)()), probe) if probe else None
    proof = vars(loaded.prove(inputs))
    version = check_version(opened.task.artifacts())  # once more: some modules are imported when they are first needed
    channel.send("proved", proof=proof, probe_distance=apart, version=version)


if __name__ == "__main__":
    main()
