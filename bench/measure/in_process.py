"""A trial of a callable in the process that calls it. Loop, gate and telemetry are those of tenants."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import clock
from bench.contract import Device, Proof, Protocol, Requests, Slot, Watched
from bench.errors import InputError
from bench.measure import assess, steady, window
from bench.measure.bound import BoundRequests
from bench.measure.ceilings import Ceilings
from bench.measure.telemetry import Telemetry, Ticks
from bench.measure.trial import SETTLE_S, Answers
from bench.measure.work import Work
from bench.records import Gate

SESSIONS = ("conductor_cpu_share", "peak_rss_bytes")
"""Numbers of a tenant's process that mean nothing of one callable among others: there is no conductor, and the peak may
have been another test's."""
NATIVE = "native"
UNFINISHED = (inspect.isawaitable, inspect.isgenerator, inspect.isasyncgen)


@dataclass(frozen=True)
class Requested:
    """What is measured: `calls` take turns, each of `items` items, and return when their work is finished. `slot` tells
    what they have of the device."""

    calls: Sequence[Callable[[], Any]]
    items: int
    slot: Slot
    device: Device


def measure(
    requested: Requested, protocol: Protocol, telemetry: Telemetry, first_clock_hz: float
) -> tuple[assess.Assessed, Ticks]:
    """Warm up, record a window, judge it by its causes. `first_clock_hz` as for `assess`. What a callable raises is
    raised; InputError for one that returns before its work is done."""
    begun_ns = clock.now_ns()
    _check_finished(requested.calls[0]())
    loaded_ns = clock.now_ns()
    bound = BoundRequests(requested.calls, None, Requests(), input_bytes=0)
    warm = steady.warm_up(bound.finished_calls, protocol.warmup_min_s, protocol.warmup_limit_s)
    tracer = _tracer()
    slot = requested.slot
    with telemetry.trial({"tenant0": Watched(os.getpid(), slot.gpu, slot.gpu_instance)}) as ticks:
        settle_ns = int(SETTLE_S * clock.NS_PER_S)
        duration_ns = window.planned_ns(protocol, warm.request_ns)
        samples = bound.samples_for(settle_ns + duration_ns, warm.request_ns)
        with window.no_collection():
            start_ns = clock.now_ns()
            open_ns = start_ns + settle_ns
            measured = window.recorded(bound, samples, start_ns, open_ns + duration_ns)
    answers = Answers(
        slots=(slot,),
        loaded=[{"load_s": clock.seconds(loaded_ns - begun_ns)}],
        ready=[{"warmup": vars(warm)}],
        measured=[measured],
        proved=[{"proof": vars(Proof(NATIVE)), "probe_distance": None}],
        neighbours=[],
        ticks=ticks,
        begun_ns=begun_ns,
        loaded_ns=loaded_ns,
        open_ns=open_ns,
        end_ns=open_ns + duration_ns,
        finished_ns=clock.now_ns(),
        conductor_cpu_ns=0,
    )
    return _assessed(answers, requested, protocol, telemetry, first_clock_hz, tracer), ticks


def _assessed(
    answers: Answers,
    requested: Requested,
    protocol: Protocol,
    telemetry: Telemetry,
    first_clock_hz: float,
    tracer: str | None,
) -> assess.Assessed:
    found = assess.assess(
        answers,
        protocol=protocol,
        batch_size=requested.items,
        expected_precision=NATIVE,
        cores=len(requested.device.cpus),
        cores_shared=False,
        interval_s=telemetry.interval_s,
        first_clock_hz=first_clock_hz,
        work=Work(),
        ceilings=Ceilings(),
    )
    gate = found.gate
    if tracer:
        reason = f"{tracer} watched every line while it was measured"
        gate = Gate(valid=False, reasons=(*gate.reasons, reason), checks=gate.checks)
    numbers = {name: value for name, value in found.telemetry.items() if name not in SESSIONS}
    return replace(found, gate=gate, telemetry=numbers)


def _check_finished(result: Any) -> None:
    """A call that returns a coroutine or a generator has done nothing of its work yet."""
    if not any(check(result) for check in UNFINISHED):
        return
    kind = type(result).__name__
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()  # or Python warns that it was never awaited
    raise InputError(
        f"the callable returns a {kind}: none of its work is done when it returns",
        where="bench_trial",
        hint="measure a function that does the work: lambda: asyncio.run(work()), lambda: list(work())",
    )


def _tracer() -> str | None:
    """Coverage, a debugger or a profiler in this process: a callable is not as fast as without it."""
    if sys.gettrace() is not None:
        return "a tracer (coverage, a debugger)"
    if sys.getprofile() is not None:
        return "a profiler"
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    tools = [monitoring.get_tool(number) for number in range(6)] if monitoring else []
    return next((f"the tool {tool!r} (sys.monitoring)" for tool in tools if tool), None)
