"""One trial's conversation: start tenants, let them load and warm up, let all measure in the same window."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import clock
from bench.config import Experiment
from bench.contract import Launcher, Requests, Slot, StartFailed, Watched
from bench.measure import artifacts, window
from bench.measure.link import ChildFailed, Link, await_events
from bench.measure.prepare import Prepared
from bench.measure.telemetry import Telemetry, Ticks

SETTLE_S = 0.03
"""After the barrier all tenants run this long before the window opens: the pause at the barrier cools caches, and a
neighbour's load has to be felt."""
TOGETHER_S, TOGETHER_REQUESTS = 0.1, 5
"""How long all tenants issue requests before the window is planned: that time, and so many of the slowest alone."""
LEAD_S = 0.004
"""From the decision to start until the start, so that the word has reached every tenant."""


@dataclass(frozen=True)
class Tenant:
    """Who has a slot, and what it loads; `measured`: it runs the workload, and is no neighbour of those that do."""

    slot: Slot
    prepared: Prepared
    measured: bool = True


@dataclass(frozen=True)
class Answers:
    """What the tenants that run the workload said, one entry per tenant in the order of the slots, and when (ns of the
    shared clock); and what their neighbours recorded."""

    slots: tuple[Slot, ...]
    loaded: Sequence[Mapping[str, Any]]
    ready: Sequence[Mapping[str, Any]]
    measured: Sequence[Mapping[str, Any]]
    proved: Sequence[Mapping[str, Any]]
    neighbours: Sequence[tuple[Tenant, Mapping[str, Any]]]
    ticks: Ticks
    begun_ns: int
    loaded_ns: int
    open_ns: int
    end_ns: int
    finished_ns: int
    conductor_cpu_ns: int
    """CPU time that the conductor used while the tenants measured."""


def converse(
    experiment: Experiment,
    launcher: Launcher,
    tenants: Sequence[Tenant],
    telemetry: Telemetry,
    environment: Mapping[str, str],
    seed: int,
) -> Answers:
    """Measure one trial. Raises ChildFailed when a tenant dies, hangs or speaks nonsense; all are ended then."""
    begun_ns = clock.now_ns()
    protocol = experiment.protocol
    deadline_ns = begun_ns + int(protocol.trial_limit_s * clock.NS_PER_S)
    with running("measure", experiment, launcher, tenants, environment, seed) as links:
        loaded = await_events(links, "loaded", deadline_ns)
        loaded_ns = clock.now_ns()
        ready = await_events(links, "ready", deadline_ns)
        with telemetry.trial(_watched(links, tenants)) as ticks:
            slowest_ns = _together_ns(links, tenants, ready, deadline_ns)
            duration_ns = _arm(links, experiment, slowest_ns, deadline_ns)
            conductor_cpu_ns = clock.cpu_ns()
            open_ns, end_ns = _go(links, tenants, duration_ns)
            measured = await_events(links, "measured", deadline_ns)
            conductor_cpu_ns = clock.cpu_ns() - conductor_cpu_ns
        proved = await_events(links, "proved", deadline_ns)
        check_versions(launcher, links, proved)
    pairs = zip(tenants, measured, strict=True)
    return Answers(
        slots=tuple(tenant.slot for tenant in tenants if tenant.measured),
        loaded=_of_workload(tenants, loaded),
        ready=_of_workload(tenants, ready),
        measured=_of_workload(tenants, measured),
        proved=_of_workload(tenants, proved),
        neighbours=[(tenant, answer) for tenant, answer in pairs if not tenant.measured],
        ticks=ticks,
        begun_ns=begun_ns,
        loaded_ns=loaded_ns,
        open_ns=open_ns,
        end_ns=end_ns,
        finished_ns=clock.now_ns(),
        conductor_cpu_ns=conductor_cpu_ns,
    )


@dataclass(frozen=True)
class Searched:
    """Items per second by batch size, summed over tenants that run side by side; `failure` says what ended it early."""

    throughput_per_s: Mapping[int, float]
    failure: str | None = None


def search(
    experiment: Experiment,
    launcher: Launcher,
    tenants: Sequence[Tenant],
    candidates: Sequence[int],
    environment: Mapping[str, str],
    seed: int,
) -> Searched:
    """Measure candidate batch sizes one after the other, all tenants at the same one. What was measured before a
    tenant fails (of too large a batch, say) is kept."""
    limit_ns = int(experiment.protocol.trial_limit_s * clock.NS_PER_S)
    found: dict[int, float] = {}
    try:
        with running("search", experiment, launcher, tenants, environment, seed) as links:
            await_events(links, "loaded", clock.now_ns() + limit_ns)
            for size in candidates:
                for link in links:
                    link.send(batch_size=size)
                answers = await_events(links, "searched", clock.now_ns() + limit_ns)
                found[size] = sum(answer["throughput_per_s"] for answer in answers)
    except ChildFailed as error:
        return Searched(found, error.reason)
    return Searched(found)


@contextmanager
def running(
    do: str,
    experiment: Experiment,
    launcher: Launcher,
    tenants: Sequence[Tenant],
    environment: Mapping[str, str],
    seed: int,
) -> Iterator[list[Link]]:
    """Running tenants, each told what to load and to `do` as soon as it is there; all of them ended when the context
    ends. Each starts when its slot says, after the first."""
    links: list[Link] = []
    first_ns = clock.now_ns()
    try:
        for tenant in tenants:
            slot = tenant.slot
            clock.sleep_until(first_ns + int(slot.start_after_s * clock.NS_PER_S))
            begun_ns = clock.now_ns()
            try:
                process = launcher.start(["bench.measure.tenant"], slot, environment, experiment.readable)
            except StartFailed as error:
                raise ChildFailed(f"tenant{slot.index} could not be started: {error}") from error
            link = Link(process, f"tenant{slot.index}", begun_ns)
            links.append(link)
            _request(link, do, experiment, tenant, seed)
        yield links
    finally:
        for link in links:
            link.end()


def _request(link: Link, do: str, experiment: Experiment, tenant: Tenant, seed: int) -> None:
    """Neighbours have no pauses but those of their own."""
    requests = experiment.scenario.requests() if tenant.measured else Requests(back_to_back=True)
    link.send(
        do=do,
        task=tenant.prepared.task.to_json(),
        slot=dataclasses.asdict(tenant.slot),
        working_folder=str(Path.cwd()),
        protocol=dataclasses.asdict(experiment.protocol),
        requests=dataclasses.asdict(requests),
        seed=seed + 1000 * tenant.slot.index,
    )


def check_versions(launcher: Launcher, links: Sequence[Link], proved: Sequence[Mapping[str, Any]]) -> None:
    """A tenant that runs another version of bench, too, might not know how to look at what it imports: ChildFailed."""
    for link, answer in zip(links, proved, strict=True):
        if launcher.version and not answer.get("version"):
            raise ChildFailed(f"{link.name} does not tell which version it runs: its own bench is too old for that")


def _of_workload(tenants: Sequence[Tenant], answers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [answer for tenant, answer in zip(tenants, answers, strict=True) if tenant.measured]


def _watched(links: Sequence[Link], tenants: Sequence[Tenant]) -> dict[str, Watched]:
    return {
        link.name: Watched(link.process.pid, tenant.slot.gpu, tenant.slot.gpu_instance)
        for link, tenant in zip(links, tenants, strict=True)
    }


def _together_ns(
    links: Sequence[Link], tenants: Sequence[Tenant], ready: Sequence[Mapping[str, Any]], deadline_ns: int
) -> float:
    """What the slowest request of the workload takes while all tenants issue theirs. Each has warmed up when it was
    ready to, so perhaps alone; and whoever waits for others has cooled down again."""
    alone_ns = [float(answer["warmup"]["request_ns"]) for answer in ready]
    if len(links) == 1:
        return alone_ns[0]
    until_ns = clock.now_ns() + max(int(TOGETHER_S * clock.NS_PER_S), round(TOGETHER_REQUESTS * max(alone_ns)))
    for link in links:
        link.send(until_ns=until_ns)
    answers = _of_workload(tenants, await_events(links, "together", deadline_ns))
    return max(float(answer["request_ns"]) for answer in answers)


def _arm(links: Sequence[Link], experiment: Experiment, slowest_ns: float, deadline_ns: int) -> int:
    """Let all tenants get ready to record, and decide how long. Nanoseconds."""
    duration_ns = window.planned_ns(experiment.protocol, slowest_ns)
    for link in links:
        link.send(duration_ns=duration_ns + int(SETTLE_S * clock.NS_PER_S))
    await_events(links, "armed", deadline_ns)
    return duration_ns


def _go(links: Sequence[Link], tenants: Sequence[Tenant], duration_ns: int) -> tuple[int, int]:
    """Tell all tenants to measure in the same window; (when it opens, when it ends) in ns."""
    start_ns = clock.now_ns() + int(LEAD_S * clock.NS_PER_S)
    open_ns = start_ns + int(SETTLE_S * clock.NS_PER_S)
    end_ns = open_ns + duration_ns
    for link, tenant in zip(links, tenants, strict=True):
        link.send(start_ns=start_ns, end_ns=end_ns, probe=probe_path(tenant.prepared))
    return open_ns, end_ns


def probe_path(prepared: Prepared) -> str | None:
    """Where the outputs of the judged model on the probe items are stored; None where outputs have no meaning."""
    if prepared.artifact is None:
        return None
    path = prepared.artifact.folder / artifacts.PROBE
    return str(path) if path.exists() else None
