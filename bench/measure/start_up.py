"""One trial of start-up: fresh tenants, until each has answered once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import clock
from bench.config import Experiment
from bench.contract import Launcher
from bench.measure import assess, gate
from bench.measure.link import ChildFailed, await_events
from bench.measure.telemetry import Telemetry, Ticks
from bench.measure.trial import Tenant, check_versions, probe_path, running


@dataclass(frozen=True)
class Answers:
    """What the tenants said, one entry per tenant, and when its clock began to run (ns of the shared clock)."""

    tenants: Sequence[Tenant]
    answered: Sequence[Mapping[str, Any]]
    proved: Sequence[Mapping[str, Any]]
    ticks: Ticks
    begun_ns: Sequence[int]
    finished_ns: int


def converse(
    experiment: Experiment,
    launcher: Launcher,
    tenants: Sequence[Tenant],
    telemetry: Telemetry,
    environment: Mapping[str, str],
    seed: int,
    preheated: bool,
) -> Answers:
    """Start the tenants and have each answer once. Preheated ones have done so before the clock runs, and wait.

    Raises ChildFailed when a tenant dies, hangs or speaks nonsense; all are ended then."""
    deadline_ns = clock.now_ns() + int(experiment.protocol.trial_limit_s * clock.NS_PER_S)
    # There is no process to watch before there are tenants: telemetry tells of the host alone.
    with telemetry.trial({}) as ticks:
        do = "heat" if preheated else "answer"
        with running(do, experiment, launcher, tenants, environment, seed) as links:
            begun_ns = [link.begun_ns for link in links]
            if preheated:
                await_events(links, "heated", deadline_ns)
                begun_ns = [clock.now_ns()] * len(links)
                for link in links:
                    link.send(go=True)
            answered = await_events(links, "answered", deadline_ns)
            for link, tenant in zip(links, tenants, strict=True):
                link.send(probe=probe_path(tenant.prepared))
            proved = await_events(links, "proved", deadline_ns)
            check_versions(launcher, links, proved)
    return Answers(tenants, answered, proved, ticks, begun_ns, clock.now_ns())


def fields(answers: Answers, expected_precision: str, cores: int) -> dict[str, Any]:
    """What a trial's record says of it. Raises ChildFailed for proofs and times that cannot be."""
    pairs = zip(answers.tenants, answers.proved, strict=True)
    proofs = [assess.proof_of(tenant.slot, proved, {}) for tenant, proved in pairs]
    start_up_s = [_start_up_s(answers, index) for index in range(len(answers.tenants))]
    judged = gate.judge(_evidence(answers, proofs, expected_precision, cores))
    slowest = answers.answered[start_up_s.index(max(start_up_s))]
    begun_ns = min(answers.begun_ns)
    all_up_s = max(
        clock.seconds(start - begun_ns) + up_s for start, up_s in zip(answers.begun_ns, start_up_s, strict=True)
    )
    parts = {name: float(slowest[f"{name}_s"]) for name in ("load", "first")}
    return {
        "status": "ok" if judged.valid else "invalid",
        "reason": "; ".join(judged.reasons) or None,
        "requests": len(start_up_s),
        "tenant_requests": (1,) * len(start_up_s),
        "start_up_s": all_up_s,
        "tenant_start_up_s": tuple(start_up_s),
        "proof": proofs[0],
        "timing_s": {
            "start": round(max(start_up_s) - sum(parts.values()), 4),
            **{name: round(value, 4) for name, value in parts.items()},
            "total": round(clock.seconds(answers.finished_ns - begun_ns), 4),
        },
        "telemetry": {"peak_rss_bytes": float(max(answer["peak_rss_bytes"] for answer in answers.answered))},
        "gate": judged,
    }


def _start_up_s(answers: Answers, index: int) -> float:
    """Until that tenant's answer, without the time that it took to make the request."""
    answer, name = answers.answered[index], f"tenant{answers.tenants[index].slot.index}"
    try:
        found = clock.seconds(int(answer["t_ns"]) - answers.begun_ns[index]) - float(answer["inputs_s"])
    except (KeyError, TypeError, ValueError) as error:
        raise ChildFailed(f"{name} sent an answer without its times: {error}") from error
    if not 0 < found <= clock.seconds(answers.finished_ns - answers.begun_ns[index]):
        raise ChildFailed(f"{name} says that it answered {found:.3f} s after the clock began to run, which cannot be")
    return found


def _evidence(
    answers: Answers, proofs: Sequence[Mapping[str, Any]], expected_precision: str, cores: int
) -> gate.Evidence:
    """Nothing was warm, and a container engine's own work cannot be told from that of strangers: what is left is the
    hypervisor, and what ran."""
    return gate.Evidence(
        warmups=[],
        warmup_limit_s=math.nan,
        requests=[1],
        min_requests=1,
        window_medians=[],
        window_share=1.0,
        run_delay_share=math.nan,
        cores_shared=True,
        foreign_cpu_share=math.nan,
        steal_share=assess.host_shares(answers.ticks.report, 0, cores)["steal_share"],
        telemetry_problem=answers.ticks.problem,
        telemetry_gap_intervals=math.nan,
        expected_precision=expected_precision,
        proved_precisions=[proof["precision"] for proof in proofs],
        probe_distances=[proved["probe_distance"] for proved in answers.proved],
    )
