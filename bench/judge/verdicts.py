"""Verdicts: what the trials of a run say about published claims, and how sure that is. Pure (docs/method.md).

Looks are replayed in their order: at each, every verdict that is still open gets the p-value of its best decision,
and Holm's step-down over all contrasts of the run lets through those that stand against having looked at many. A
verdict that was drawn at a look stands; later blocks do not change it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bench.claims import Claim, Metric
from bench.judge import reasons
from bench.judge.contrasts import Contrast, Role
from bench.judge.decisions import DECIDED, Judged, Word, decisions, holm, log_band, more_blocks
from bench.judge.evidence import Pairs, RunEvidence
from bench.judge.loss import Loss
from bench.judge.metrics import P99, tail_needs
from bench.judge.speedup import LEVEL, SpeedUp
from bench.judge.statistics import Paired, hodges_lehmann
from bench.judge.untold import interleaved
from bench.records import Plan

LOST_LIMIT = 0.2
"""Greatest share of blocks that may be lost to the gate."""
LASTING_LOSS = 0.5
"""Where more than this is lost, the cause will not pass (the wrong precision, say), and more blocks are no help."""


@dataclass(frozen=True)
class Verdict:
    """One claim x device x partition x workload x scenario x treatment x baseline. What is not known is None.

    counted: the device is of the hardware that the claim speaks of; otherwise the verdict stands beside the claim.
    speedup: with its 95 % interval; `judged` is the wider one that the verdict stands on.
    blocks: the last block that it rests on. `more_blocks`: how many more would probably decide it (four times in five).
    fragile: an interval by ranks, which trusts no distribution, gives another verdict on the speed.
    """

    claim: str
    verdict: Word
    reason: str
    counted: bool
    evidence: Literal["measured", "published", "specification", "none"]
    run: str | None = None
    device: str | None = None
    device_kind: str | None = None
    partition: str | None = None
    workload: str | None = None
    scenario: str | None = None
    optimization: str | None = None
    baseline: str | None = None
    role: Role | None = None
    metric: Metric = "throughput"
    speedup: SpeedUp | None = None
    judged: Judged | None = None
    quality: Loss | None = None
    quality_margin: float | None = None
    blocks: int | None = None
    lost_blocks: int = 0
    more_blocks: int | None = None
    fragile: bool = False


@dataclass(frozen=True)
class Obstacle:
    """What keeps a contrast from being judged at a look; `more_blocks` may remove it, None: they will not."""

    word: Word
    reason: str
    more_blocks: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A contrast at one look, before Holm: the p-values of what could be said of it."""

    contrast: Contrast
    claim: Claim
    pairs: Pairs
    loss: Loss | None
    obstacle: Obstacle | None

    @cached_property
    def p_values(self) -> dict[Word, float]:
        """One-sided, of each decision; small means that it may be drawn."""
        paired = self.pairs.paired
        if self.obstacle or paired is None:
            return dict.fromkeys(DECIDED, 1.0)
        return decisions(paired, self.claim, self.loss)

    @property
    def best(self) -> tuple[Word, float]:
        return min(self.p_values.items(), key=lambda item: item[1])


def judge_run(evidence: RunEvidence, claims: Mapping[str, Claim]) -> list[Verdict]:
    """A verdict for every contrast that the run planned."""
    contrasts = evidence.contrasts.of(claims)
    verdicts: dict[Contrast, Verdict] = {}
    looks = evidence.complete_looks()
    level = evidence.plan.look_level or 0.0  # a plan that has looks has a level
    for look in looks:
        left = [contrast for contrast in contrasts if contrast not in verdicts]
        candidates = [_candidate(evidence, contrast, claims[contrast.claim], look) for contrast in left]
        steps = holm([candidate.best[1] for candidate in candidates], len(contrasts), level / 2)
        for candidate, (stands, held_to) in zip(candidates, steps, strict=True):
            if stands or look == looks[-1]:
                verdicts[candidate.contrast] = _verdict(evidence, candidate, look, 2 * held_to, stands)
    return [verdicts.get(contrast) or _unjudged(evidence, contrast, claims[contrast.claim]) for contrast in contrasts]


def is_open(verdict: Verdict, plan: Plan) -> bool:
    """Whether more blocks may decide it: not yet at the last look, and it is blocks that are missing."""
    if verdict.blocks is None or not plan.looks or verdict.blocks >= plan.looks[-1]:
        return False
    return verdict.more_blocks is not None


def _candidate(evidence: RunEvidence, contrast: Contrast, claim: Claim, look: int) -> Candidate:
    pairs = evidence.pairs(contrast, look)
    obstacle = _obstacle(evidence, contrast, claim, pairs, look)
    return Candidate(contrast, claim, pairs, evidence.loss(contrast, claim), obstacle)


def _obstacle(evidence: RunEvidence, contrast: Contrast, claim: Claim, pairs: Pairs, look: int) -> Obstacle | None:
    if pairs.lost_share > LOST_LIMIT:
        blocks = len(pairs.lost) + len(pairs.differences)
        more = math.ceil(len(pairs.lost) / LOST_LIMIT) - blocks  # valid ones, until the lost are few enough
        passing = pairs.lost_share <= LASTING_LOSS
        return Obstacle("invalid", reasons.lost(list(pairs.lost.values()), blocks), more if passing else None)
    if unfair := _unfair(evidence, contrast, look):
        return Obstacle("not_testable", unfair)
    floors = [evidence.floor(cell[0], look) for cell in (contrast.treatment, contrast.baseline)]
    reach = max((floor.reach for floor in floors if floor), default=0.0)
    width = _width(claim)
    if width is not None and width < reach:
        # The floor falls with the square root of the blocks: as many again are the least to try.
        return Obstacle("not_testable", reasons.below_floor(width, reach), more_blocks=look)
    paired = pairs.paired
    if width is None and paired is not None and abs(paired.mean) < reach:
        return Obstacle("inconclusive", reasons.within_floor(paired.mean, reach), more_blocks=look)
    return None


def _unfair(evidence: RunEvidence, contrast: Contrast, look: int) -> str | None:
    """Why the two sides cannot be compared, whatever they yield; None if they can."""
    if contrast.treatment[0] != contrast.baseline[0]:
        division = evidence.contrasts.division(contrast.baseline[0])
        ours, theirs = (evidence.tenants(cell[0]) for cell in (contrast.treatment, contrast.baseline))
        if division != "full" and ours != theirs:
            return f"{ours} tenants against {theirs}: only equal numbers can be compared"
        layout = evidence.plan.layouts.get(division)
        if layout and layout.mig and evidence.contrasts.division(contrast.treatment[0]) != division:
            return f"{division} was measured within a MIG slice, not on the whole device"
    if contrast.metric == "p99":
        if (fewest := evidence.fewest_requests(contrast, look)) < tail_needs(P99):
            # Leaving out the trials with too few would leave out the slow ones.
            return f"a p99 needs {tail_needs(P99)} requests in each process, and one trial had {fewest}"
        if len(sizes := sorted(evidence.batch_sizes(contrast))) > 1:
            return f"p99 of requests of {' and '.join(map(str, sizes))} items: only equal batches can be compared"
    return None


def _width(claim: Claim) -> float | None:
    """How fine a distinction a claim makes, as a logarithm: the width of its band, or for one bound its distance from
    no change at all. None where it makes none ("at least as fast")."""
    low, high = log_band(claim)
    return abs(low) or None if claim.reading == "at_least" else high - low


def _verdict(evidence: RunEvidence, candidate: Candidate, look: int, level: float, stands: bool) -> Verdict:
    claim, contrast = candidate.claim, candidate.contrast
    paired = candidate.pairs.paired
    speedup = SpeedUp.of(paired) if paired else None
    judged = Judged.of(paired, level)
    more: int | None = None
    if candidate.obstacle:
        word, reason, more = candidate.obstacle.word, candidate.obstacle.reason, candidate.obstacle.more_blocks
    elif stands:
        word = candidate.best[0]
        reason = reasons.decided(word, claim, speedup, candidate.loss)
    else:
        word = "inconclusive"
        more = more_blocks(paired, claim, level, candidate.loss)
        reason = reasons.undecided(claim, speedup, judged, candidate.loss, more)
    return Verdict(
        claim=contrast.claim,
        verdict=word,
        reason=reason,
        speedup=speedup,
        judged=judged,
        blocks=candidate.pairs.last_block,
        lost_blocks=len(candidate.pairs.lost),
        more_blocks=more,
        fragile=stands and paired is not None and _fragile(candidate.pairs, paired, claim),
        quality=candidate.loss,
        quality_margin=claim.quality_loss_below,
        evidence="measured",
        **_place(evidence, contrast, claim),
    )


def _fragile(pairs: Pairs, paired: Paired, claim: Claim) -> bool:
    """Whether ranks say something else about the speed than the t interval does, both at 95 %."""
    by_ranks = hodges_lehmann(list(pairs.differences.values()), LEVEL)
    by_t = paired.interval(LEVEL)
    return by_ranks is not None and by_t is not None and _position(by_ranks, claim) != _position(by_t, claim)


def _position(interval: tuple[float, float], claim: Claim) -> str:
    low, high = log_band(claim)
    if interval[1] < low:
        return "below"
    if interval[0] > high:
        return "above"
    return "inside" if low <= interval[0] and interval[1] <= high else "across"


def _unjudged(evidence: RunEvidence, contrast: Contrast, claim: Claim) -> Verdict:
    """No look was complete: the numbers are shown, and nothing is said."""
    plan = evidence.plan
    pairs, loss = evidence.pairs(contrast, plan.blocks), evidence.loss(contrast, claim)
    if plan.imported:
        reason = reasons.imported(plan.imported, claim, loss)
    else:
        reason = reasons.no_look(plan, len(pairs.differences))
    return Verdict(
        claim=contrast.claim,
        verdict="inconclusive",
        reason=reason,
        speedup=SpeedUp.of(pairs.paired, interleaved(plan)) if pairs.paired else None,
        lost_blocks=len(pairs.lost),
        quality=loss,
        quality_margin=claim.quality_loss_below,
        evidence="measured",
        **_place(evidence, contrast, claim),
    )


def _place(evidence: RunEvidence, contrast: Contrast, claim: Claim) -> dict[str, Any]:
    return {
        **located(evidence, claim),
        "partition": contrast.partition,
        "optimization": contrast.optimization,
        "baseline": contrast.baseline_name,
        "role": contrast.role,
        "metric": contrast.metric,
    }


def located(evidence: RunEvidence, claim: Claim) -> dict[str, Any]:
    """The fields of a verdict that say which run it is from, and whether that counts for the claim."""
    plan = evidence.plan
    return {
        "counted": claim.counts(plan.device_kind, plan.device),
        "run": evidence.run.name,
        "device": plan.device,
        "device_kind": plan.device_kind,
        "workload": plan.workload,
        "scenario": plan.scenario,
    }
