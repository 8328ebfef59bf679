"""What to deploy: the best of the measured configurations that satisfy a need, and why the others are not. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.errors import ConfigError, InputError
from bench.judge.recommend.candidates import Candidate, candidates, device_node
from bench.judge.recommend.costs import cost_per_month, devices_needed
from bench.judge.recommend.figures import Figure
from bench.judge.recommend.finding import Finding
from bench.judge.recommend.findings import findings, is_put_to_goals
from bench.judge.recommend.measuring import Suggestion, suggestions
from bench.judge.recommend.need import LOWER_IS_BETTER, Need
from bench.judge.recommend.pareto import Front, front
from bench.judge.recommend.ranking import Levels, advantage, best_of, is_tied, pairs_level
from bench.judge.recommend.rules_of_thumb import Said, Standing, judged, rules_for
from bench.judge.speedup import LEVEL, SpeedUp
from bench.stored import StoredRun

STANDINGS: tuple[Standing, ...] = ("satisfies", "open", "fails")


@dataclass(frozen=True)
class Weighed:
    """A candidate against the need. against_best: how many times better the best one is by the objective, paired by
    block, with an interval that holds for all pairs at once; None for the best itself, for those that do not satisfy,
    and where they share no block, as across runs."""

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
        """Why it is not recommended: what it is shown to lack, otherwise what is not known."""
        unmet = tuple(finding for finding in self.findings if finding.outcome == "unmet")
        return unmet or tuple(finding for finding in self.findings if finding.outcome != "met")

    @property
    def enough_evidence(self) -> bool:
        return not any(finding.goal == "evidence" for finding in self.findings)


@dataclass(frozen=True)
class Answer:
    """weighed: all candidates; those that satisfy first, the best first, then what is open, then what fails.
    judged: how many candidates were put to the goals, for all of which their intervals hold at once.
    ties: those that satisfy and cannot be told from the best. product: the GPU's name, or the CPU's.
    per_s: of one device, at the load that head-room leaves, by the low end. devices: as many as give the throughput
    that is asked for at that load. month: what so many cost.
    """

    runs: tuple[StoredRun, ...]
    need: Need
    device: str
    device_kind: str
    product: str
    workload: str
    scenario: str
    weighed: tuple[Weighed, ...]
    judged: int
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
    every = [candidate for run in chosen for candidate in candidates(run, need)]
    number = sum(is_put_to_goals(candidate, need) for candidate in every)
    levels = Levels(every)
    weighed = _weighed([Weighed(c, tuple(findings(c, need, number))) for c in every], need, levels)
    best = weighed[0] if weighed and weighed[0].standing == "satisfies" else None
    rate = best.candidate.throughput.at(LEVEL / max(1, number)) if best and best.candidate.throughput else None
    devices = devices_needed(need, rate.low) if rate else None
    product = _product(chosen[0])
    by_standing = {name: [w.candidate for w in weighed if w.standing == name] for name in STANDINGS}
    return Answer(
        runs=tuple(chosen),
        need=need,
        device=plan.device,
        device_kind=plan.device_kind,
        product=product,
        workload=plan.workload,
        scenario=plan.scenario,
        weighed=tuple(weighed),
        judged=number,
        best=best,
        ties=tuple(w for w in weighed if w is not best and w.standing == "satisfies" and is_tied(w.against_best)),
        front=front([item.candidate for item in weighed if item.enough_evidence], need, levels),
        rules=tuple(
            judged(rule, plan, product, by_standing, need.aim)
            for rule in (rules_for(need.scene, product) if need.scene else [])
        ),
        to_measure=tuple(
            suggestions(
                [(item.candidate, item.findings) for item in weighed], need, best.candidate if best else None, levels
            )
        ),
        per_s=rate.low * need.usable if rate else None,
        devices=devices,
        month=cost_per_month(best.candidate, need, devices) if best and devices else None,
    )


def _weighed(found: Sequence[Weighed], need: Need, levels: Levels) -> list[Weighed]:
    """Those that satisfy, the best first and the others by how far they are behind it; then what is open, the best by
    its level first, and what fails."""
    satisfying = [item for item in found if item.standing == "satisfies"]

    def badness(item: Weighed) -> float:
        level = levels.badness(item.candidate, need.aim)
        return math.inf if level is None else level

    still_open = sorted((item for item in found if item.standing == "open"), key=badness)
    rest = [*still_open, *(item for item in found if item.standing == "fails")]
    best = best_of([item.candidate for item in satisfying], need.aim, levels)
    if best is None:
        return rest
    level = pairs_level(len(satisfying))
    leading = next(item for item in satisfying if item.candidate is best)
    others = [
        replace(item, against_best=advantage(best, item.candidate, need.aim, level))
        for item in satisfying
        if item is not leading
    ]

    def behind(item: Weighed) -> float:
        if item.against_best:
            return item.against_best.estimate
        mine, theirs = levels.of(item.candidate, need.aim), levels.of(best, need.aim)
        assert mine and theirs, "what has no such number does not satisfy"
        return mine / theirs if need.aim in LOWER_IS_BETTER else theirs / mine

    return [leading, *sorted(others, key=behind), *rest]


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
