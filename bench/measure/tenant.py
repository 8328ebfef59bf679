"""A tenant: loads one model, warms up, waits for the others, measures, proves what ran.

`python -m bench.measure.tenant`. It speaks JSON lines (`bench/wire.py`). Nothing heavy is imported before the process
has confined itself.
"""

from __future__ import annotations

from bench.isolation.confine import confine_from_environment

if __name__ == "__main__":
    confine_from_environment()

import gc
import os
import resource
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import clock, wire
from bench.contract import Loaded, Requests, Slot
from bench.devices.rehearsal.client import attach_from_environment
from bench.isolation.cdi.arrival import check_arrival, check_cuda_arrival
from bench.measure import steady
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
        peak_rss_bytes=_peak_rss_bytes(),
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
    gc.collect()
    gc.disable()  # a collection inside the window would be a pause that the model did not cause
    channel.send("armed")
    go = channel.receive()
    if go is None:
        return
    clock.sleep_until(go["start_ns"])
    before, delays_ns = _usage(), _run_delays_ns()
    count = bound.record(samples, go["end_ns"])
    after, later_delays_ns = _usage(), _run_delays_ns()
    gc.enable()
    usage = {name: after[name] - before[name] for name in before}
    channel.send(
        "measured",
        samples=wire.pack_integers(samples, bound.columns * count),
        columns=bound.columns,
        issued=bound.detail(),
        usage=usage,
        run_delay_s=_longest_delay_s(delays_ns, later_delays_ns),
        peak_rss_bytes=_peak_rss_bytes(),
    )
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
    channel.send("proved", proof=vars(loaded.prove(inputs)), probe_distance=apart)


def _peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _usage() -> dict[str, float]:
    """What this process has used so far; all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_s": clock.seconds(clock.now_ns()),
        "cpu_s": used.ru_utime + used.ru_stime,
        "involuntary_switches": float(used.ru_nivcsw),
        "major_faults": float(used.ru_majflt),
    }


def _run_delays_ns() -> dict[str, int]:
    """How long each thread has been runnable without a core so far; empty where the system does not tell.

    Linux: the second field of a thread's schedstat.
    """
    delays_ns = {}
    with suppress(OSError, IndexError, ValueError):
        for thread in Path("/proc/self/task").iterdir():
            delays_ns[thread.name] = int((thread / "schedstat").read_text().split()[1])
    return delays_ns


def _longest_delay_s(before_ns: dict[str, int], after_ns: dict[str, int]) -> float:
    """Of the threads that ran before and after; NaN: not known."""
    waited_ns = [after_ns[thread] - before_ns[thread] for thread in before_ns.keys() & after_ns.keys()]
    return clock.seconds(max(waited_ns)) if waited_ns else float("nan")


if __name__ == "__main__":
    main()
