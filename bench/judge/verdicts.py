"""Verdicts: what the trials of a run say about published claims, and how sure that is. Pure (docs/method.md).

Looks are replayed in their order: at each, every verdict that is still open gets the p-value of its best decision,
and Holm's step-down over all contrasts of the run lets through those that stand against having looked at many. A
verdict that was drawn at a look stands; later blocks do not change it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bench.claims import Claim
from bench.judge import reasons
from bench.judge.evidence import Contrast, Pairs, Role, RunEvidence
from bench.judge.loss import Loss
from bench.judge.speedup import LEVEL, SpeedUp
from bench.judge.statistics import Paired, hodges_lehmann, pairs_needed, ratio
from bench.records import Plan

Word = Literal["confirmed", "exceeded", "refuted", "inconclusive", "invalid", "not_testable"]
DECIDED: tuple[Word, ...] = ("confirmed", "exceeded", "refuted")
LOST_LIMIT = 0.2
"""Greatest share of blocks that may be lost to the gate."""


@dataclass(frozen=True)
class Judged:
    """The two-sided level at which a verdict was tried, after looks and Holm, and the interval at that level."""

    level: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """One claim x device x partition x workload x scenario x treatment x baseline. What is not known is None.

    counted: the device is of the hardware that the claim speaks of; otherwise the verdict stands beside the claim.
    speedup: with its 95 % interval; `judged` is the wider one that the verdict stands on.
    blocks: the look at which it was drawn. `more_blocks`: how many more would probably decide it (four times in five).
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
    speedup: SpeedUp | None = None
    judged: Judged | None = None
    quality: Loss | None = None
    quality_margin: float | None = None
    blocks: int | None = None
    lost_blocks: int = 0
    more_blocks: int | None = None
    fragile: bool = False


@dataclass(frozen=True)
class Candidate:
    """A contrast at one look, before Holm: the p-values of what could be said of it."""

    contrast: Contrast
    claim: Claim
    pairs: Pairs
    loss: Loss | None
    obstacle: tuple[Word, str] | None
    """A verdict that keeps it from being judged at this look, and why."""

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


def decisions(paired: Paired, claim: Claim, loss: Loss | None) -> dict[Word, float]:
    """One-sided p-value of each verdict, from speed and, where the claim bounds it, quality.

    Both must hold to confirm, so the greater p-value counts; either refutes, so the smaller one does."""
    low, high = (_log(bound) for bound in claim.band)
    inside = max(paired.p_above(low), paired.p_below(high))
    above, below = paired.p_above(high), paired.p_below(low)
    if claim.quality_loss_below is None:
        return {"confirmed": inside, "exceeded": above, "refuted": below}
    within = loss.p_within(claim.quality_loss_below) if loss else 1.0
    beyond = loss.p_beyond(claim.quality_loss_below) if loss else 1.0
    return {"confirmed": max(inside, within), "exceeded": max(above, within), "refuted": min(below, beyond)}


def holm(p_values: Sequence[float], family: int, level: float) -> list[tuple[bool, float]]:
    """(whether it stands, the level it was held to) of each p-value, with `family` tests in all, of which the others
    have been rejected before (Holm 1979; over looks: Ye et al. 2013)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    found: list[tuple[bool, float]] = [(False, 0.0)] * len(p_values)
    rejected, standing = family - len(p_values), True
    for index in order:
        held_to = level / (family - rejected)
        standing = standing and p_values[index] <= held_to
        found[index] = (standing, held_to)
        rejected += standing  # after the first that fails, all others are held to its level and fail as well
    return found


def judge_run(evidence: RunEvidence, claims: Mapping[str, Claim]) -> list[Verdict]:
    """A verdict for every contrast that the run planned."""
    contrasts = evidence.contrasts(claims)
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
    return Candidate(contrast, claim, pairs, evidence.loss(contrast), obstacle)


def _obstacle(
    evidence: RunEvidence, contrast: Contrast, claim: Claim, pairs: Pairs, look: int
) -> tuple[Word, str] | None:
    if pairs.lost_share > LOST_LIMIT:
        blocks = len(pairs.lost) + len(pairs.differences)
        return "invalid", reasons.lost(list(pairs.lost.values()), blocks)
    if contrast.treatment[0] != contrast.baseline[0] and contrast.baseline[0] != "full":
        ours, theirs = (evidence.tenants(cell[0]) for cell in (contrast.treatment, contrast.baseline))
        if ours != theirs:
            return "not_testable", f"{ours} tenants against {theirs}: only equal numbers can be compared"
    floors = [evidence.floor(cell[0], look) for cell in (contrast.treatment, contrast.baseline)]
    reach = max((floor.reach for floor in floors if floor), default=0.0)
    width = _width(claim)
    if width is not None and width < reach:
        return "not_testable", reasons.below_floor(width, reach)
    return None


def _width(claim: Claim) -> float | None:
    """How fine a distinction a claim makes, as a logarithm: the width of its band, or for one bound its distance from
    no change at all. None where it makes none ("at least as fast")."""
    low, high = claim.band
    if claim.reading == "at_least":
        return abs(math.log(low)) or None
    return math.log(high) - math.log(low)


def _verdict(evidence: RunEvidence, candidate: Candidate, look: int, level: float, stands: bool) -> Verdict:
    claim, contrast = candidate.claim, candidate.contrast
    paired = candidate.pairs.paired
    speedup = SpeedUp.of(paired) if paired else None
    judged = _judged(paired, level)
    word, reason = candidate.best[0] if stands else "inconclusive", ""
    more = None
    if candidate.obstacle:
        word, reason = candidate.obstacle
        if word == "not_testable" and paired and paired.pairs > 1 and "noise floor" in reason:
            more = look  # the floor falls with the square root of the blocks: as many again are the least to try
    elif stands:
        reason = reasons.decided(word, claim, speedup, candidate.loss)
    else:
        more = _more_blocks(paired, claim, level, candidate.loss)
        reason = reasons.undecided(claim, speedup, judged, candidate.loss, more)
    return Verdict(
        claim=contrast.claim,
        verdict=word,
        reason=reason,
        speedup=speedup,
        judged=judged,
        blocks=look,
        lost_blocks=len(candidate.pairs.lost),
        more_blocks=more,
        fragile=stands and paired is not None and _fragile(candidate.pairs, paired, claim),
        **_place(evidence, contrast, claim, candidate.loss),
    )


def _judged(paired: Paired | None, level: float) -> Judged | None:
    interval = paired.interval(level) if paired else None
    return Judged(level, ratio(interval[0]), ratio(interval[1])) if interval else None


def _more_blocks(paired: Paired | None, claim: Claim, level: float, loss: Loss | None) -> int | None:
    """None where more blocks would not help: the speed is clear, and it is the quality that is not."""
    if paired is None or paired.pairs < 2:
        return 2
    low, high = (_log(bound) for bound in claim.band)
    distance = min(abs(paired.mean - bound) for bound in (low, high) if math.isfinite(bound))
    clear = min(decisions(paired, claim.model_copy(update={"quality_loss_below": None}), None).values()) <= level / 2
    if clear:
        return None
    return max(1, pairs_needed(paired.sd, distance, level) - paired.pairs)


def _fragile(pairs: Pairs, paired: Paired, claim: Claim) -> bool:
    """Whether ranks say something else about the speed than the t interval does, both at 95 %."""
    by_ranks = hodges_lehmann(list(pairs.differences.values()), LEVEL)
    by_t = paired.interval(LEVEL)
    return by_ranks is not None and by_t is not None and _position(by_ranks, claim) != _position(by_t, claim)


def _position(interval: tuple[float, float], claim: Claim) -> str:
    low, high = (_log(bound) for bound in claim.band)
    if interval[1] < low:
        return "below"
    if interval[0] > high:
        return "above"
    return "inside" if low <= interval[0] and interval[1] <= high else "across"


def _unjudged(evidence: RunEvidence, contrast: Contrast, claim: Claim) -> Verdict:
    """No look was complete: the numbers are shown, and nothing is said."""
    plan = evidence.plan
    pairs = evidence.pairs(contrast, plan.blocks)
    return Verdict(
        claim=contrast.claim,
        verdict="inconclusive",
        reason=reasons.no_look(plan, len(pairs.differences)),
        speedup=SpeedUp.of(pairs.paired) if pairs.paired else None,
        lost_blocks=len(pairs.lost),
        **_place(evidence, contrast, claim, evidence.loss(contrast)),
    )


def _place(evidence: RunEvidence, contrast: Contrast, claim: Claim, loss: Loss | None) -> dict[str, Any]:
    plan = evidence.plan
    return {
        "counted": claim.counts(plan.device_kind, plan.device),
        "evidence": "measured",
        "run": evidence.run.name,
        "device": plan.device,
        "device_kind": plan.device_kind,
        "partition": contrast.partition,
        "workload": plan.workload,
        "scenario": plan.scenario,
        "optimization": contrast.optimization,
        "baseline": contrast.baseline_name,
        "role": contrast.role,
        "quality": loss,
        "quality_margin": claim.quality_loss_below,
    }


def _log(bound: float) -> float:
    return math.log(bound) if bound > 0 else -math.inf
