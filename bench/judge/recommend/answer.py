"""What to deploy: the best of the measured configurations that satisfy a need, and why the others are not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.errors import ConfigError, InputError
from bench.judge.recommend.candidates import Candidate, candidates, device_node
from bench.judge.recommend.figures import Figure
from bench.judge.recommend.findings import Finding, cost_per_month, devices_needed, findings
from bench.judge.recommend.measuring import Suggestion, suggestions
from bench.judge.recommend.need import LOWER_IS_BETTER, Need
from bench.judge.recommend.pareto import Front, front
from bench.judge.recommend.rules_of_thumb import Said, advantage, judged, rules_for
from bench.judge.speedup import SpeedUp
from bench.stored import StoredRun

Standing = Literal["satisfies", "open", "fails"]
"""open: not shown to satisfy, and not shown not to: it would have to be measured (better)."""


@dataclass(frozen=True)
class Weighed:
    """A candidate against the need. against_best: how many times better the best one is by the objective, paired by
    block; None for the best itself, for those that do not satisfy, and across runs, which share no blocks."""

    candidate: Candidate
    findings: tuple[Finding, ...]
    against_best: SpeedUp | None = None

    @property
    def standing(self) -> Standing:
        outcomes = {finding.outcome for finding in self.findings}
        if "unmet" in outcomes:
            return "fails"
        return "open" if outcomes & {"uncertain", "unmeasured"} else "satisfies"

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """Why it is not recommended: what it certainly lacks, otherwise what is not known."""
        unmet = tuple(finding for finding in self.findings if finding.outcome == "unmet")
        return unmet or tuple(finding for finding in self.findings if finding.outcome != "met")

    @property
    def enough_evidence(self) -> bool:
        return not any(finding.goal == "evidence" for finding in self.findings)


@dataclass(frozen=True)
class Answer:
    """weighed: all candidates; those that satisfy first, the best first, then what is open, then what fails.
    ties: those that satisfy and cannot be told from the best. product: the GPU's name, or the CPU's.
    per_s: of one device, at the load that head-room leaves, for sure. devices: for the throughput that is asked for.
    """

    runs: tuple[StoredRun, ...]
    need: Need
    device: str
    device_kind: str
    product: str
    workload: str
    scenario: str
    weighed: tuple[Weighed, ...]
    best: Weighed | None
    ties: tuple[Weighed, ...]
    front: Front
    rules: tuple[Said, ...]
    to_measure: tuple[Suggestion, ...]
    per_s: float | None
    devices: int | None
    month: Figure | None

    @property
    def only_lacks_evidence(self) -> bool:
        """Nothing satisfies, and of something it is only not known."""
        return self.best is None and any(item.standing == "open" for item in self.weighed)


def answer(runs: Sequence[StoredRun], need: Need) -> Answer:
    """Of runs of one device, workload and scenario; the need may choose among several workloads and scenarios. Raises
    InputError for what cannot be set beside each other."""
    chosen = _chosen(runs, need)
    plan = chosen[0].plan
    found = [Weighed(c, tuple(findings(c, need))) for run in chosen for c in candidates(run, need)]
    satisfying = sorted((item for item in found if item.standing == "satisfies"), key=lambda w: _rank(w, need))
    best = satisfying[0] if satisfying else None
    compared = [item if item is best else _compared(item, best, need) for item in satisfying]
    rest = [item for standing in ("open", "fails") for item in found if item.standing == standing]
    weighed = (*compared, *rest)
    per_s = best.candidate.throughput.low * need.usable if best and best.candidate.throughput else None
    product = _product(chosen[0])
    rules = rules_for(need.scene, product) if need.scene else []
    every = [item.candidate for item in weighed]
    return Answer(
        runs=tuple(chosen),
        need=need,
        device=plan.device,
        device_kind=plan.device_kind,
        product=product,
        workload=plan.workload,
        scenario=plan.scenario,
        weighed=weighed,
        best=best,
        ties=tuple(item for item in compared if item is not best and _tied(item)),
        front=front([item.candidate for item in weighed if item.enough_evidence], need),
        rules=tuple(
            judged(
                rule,
                plan,
                product,
                every,
                [item.candidate for item in satisfying],
                best.candidate if best else None,
                need.aim,
            )
            for rule in rules
        ),
        to_measure=tuple(
            suggestions([(item.candidate, item.findings) for item in weighed], need, best.candidate if best else None)
        ),
        per_s=per_s,
        devices=devices_needed(need, best.candidate.throughput.low) if best and best.candidate.throughput else None,
        month=cost_per_month(best.candidate, need) if best else None,
    )


def _rank(item: Weighed, need: Need) -> float:
    found = item.candidate.figure(need.aim)
    assert found is not None, "what has no such number does not satisfy"
    return found.estimate if need.aim in LOWER_IS_BETTER else -found.estimate


def _compared(item: Weighed, best: Weighed | None, need: Need) -> Weighed:
    assert best is not None
    return Weighed(item.candidate, item.findings, advantage(best.candidate, item.candidate, need.aim))


def _tied(item: Weighed) -> bool:
    """No difference is shown; across runs there is no block in which it could be."""
    found = item.against_best
    return found is None or found.low is None or found.low <= 1


def _chosen(runs: Sequence[StoredRun], need: Need) -> list[StoredRun]:
    if not runs:
        raise InputError("none of these runs can be read", where="bench recommend", hint="name a run's folder")
    measuring = [run for run in runs if run.plan.measures == "throughput"]
    if not measuring:
        raise InputError(
            "what was measured is start-up, and says nothing of load",
            where=str(runs[0].folder),
            hint="name a run of another scenario, such as single_stream or offline",
        )
    chosen = measuring
    for name in ("workload", "scenario"):
        wanted, there = getattr(need, name), sorted({str(getattr(run.plan, name)) for run in chosen})
        if wanted is None and len(there) > 1:
            raise ConfigError(
                f"these runs hold several {name}s: {', '.join(there)[:300]}",
                where="the need",
                hint=f"say which, such as `{name}: {there[0]}`, or name fewer runs",
            )
        chosen = [run for run in chosen if wanted in (None, getattr(run.plan, name))]
        if not chosen:
            raise ConfigError(
                f"no run measured the {name} {wanted}",
                where="the need",
                hint=f"these runs have {', '.join(there)[:300]}",
            )
    devices = sorted({run.plan.device for run in chosen})
    if len(devices) > 1:
        raise InputError(
            f"these runs are of several devices: {', '.join(devices)[:300]}",
            where=", ".join(str(run.folder) for run in chosen)[:300],
            hint="a price is one device's: ask for each device by itself, and compare the costs",
        )
    return chosen


def _product(run: StoredRun) -> str:
    gpu = device_node(run).get("gpu")
    product = gpu.get("product") if isinstance(gpu, dict) else None
    return product if isinstance(product, str) else run.plan.device
