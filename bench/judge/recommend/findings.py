"""Whether a candidate satisfies a need, goal by goal, in words with their numbers. Pure.

What is uncertain is not satisfied: the unfavourable end of the interval has to reach the goal. The more cells are put
to the goals, the more of them would pass by chance; so intervals are those of 95 % for all of them at once. Where the
evidence on a cell is too little, none of its numbers is put to a goal; what follows from how it is laid out still is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mode
from typing import Literal

from bench.judge.compare.comparison import FEWEST
from bench.judge.loss import FEWEST_ITEMS, ONE_SIDED
from bench.judge.reasons import points
from bench.judge.recommend.amounts import RATE_DIGITS, gib, head_room, of
from bench.judge.recommend.candidates import Candidate, Memory
from bench.judge.recommend.figures import Figure
from bench.judge.recommend.need import Need
from bench.judge.speedup import LEVEL
from bench.judge.statistics import pairs_needed
from bench.judge.tails import needed
from bench.judge.untold import source, without_blocks
from bench.judge.verdicts import LOST_LIMIT

Outcome = Literal["met", "unmet", "uncertain", "unmeasured"]
Lack = Literal["", "protocol", "p99", "again", "blocks", "items", "quality", "energy", "memory", "tool"]
"""What would have to be measured for it."""

HOURS_PER_MONTH = 730.5


@dataclass(frozen=True)
class Finding:
    """On one goal. blocks: about how many would tell, where it is uncertain; 0: not known, or more than anybody
    measures."""

    goal: str
    outcome: Outcome
    words: str
    lack: Lack = ""
    blocks: int = 0


def is_put_to_goals(candidate: Candidate, need: Need) -> bool:
    """Whether it depends on what was measured whether it satisfies."""
    fails = any(finding.outcome == "unmet" for finding in _laid_out(candidate, need))
    return not fails and not any(_gaps(candidate))


def findings(candidate: Candidate, need: Need, judged: int = 1) -> list[Finding]:
    """Of every goal that the need names, and of the evidence; what is laid out comes first. judged: how many
    candidates are put to the goals at once."""
    found = [*_laid_out(candidate, need)]
    gaps = [*_gaps(candidate)]
    return [*found, *gaps] if gaps else [*found, *_measured(candidate, need, max(1, judged))]


def devices_needed(need: Need, per_s: float) -> int:
    """For the throughput that all of them have to give together; 1 where none is asked for."""
    return max(1, math.ceil(need.throughput_per_s / (per_s * need.usable) - 1e-9)) if need.throughput_per_s else 1


def cost_per_month(candidate: Candidate, need: Need, devices: int, level: float = LEVEL) -> Figure | None:
    """Of so many devices, whether they are busy or not, and the electricity of what is asked for (of one device at the
    load that head-room leaves, where nothing is); its interval is that of the energy."""
    prices, per_s = need.prices, candidate.throughput
    if prices is None or per_s is None or (prices.power and candidate.energy is None):
        return None
    fixed = devices * (prices.price_per_hour or 0.0) * HOURS_PER_MONTH
    ends = [fixed, fixed, fixed]
    if prices.power and candidate.energy:
        items_per_s = need.throughput_per_s or per_s.estimate * need.usable
        energy = candidate.energy.at(level)
        for index, joules in enumerate((energy.estimate, energy.low, energy.high)):
            ends[index] += items_per_s * joules / 1e3 * HOURS_PER_MONTH * prices.power.price_per_kwh
    return Figure(ends[0], ends[1], ends[2], math.nan, per_s.trials)


# --- how it is laid out ---


def _laid_out(candidate: Candidate, need: Need) -> Iterator[Finding]:
    if need.tenants:
        fits = candidate.tenants >= need.tenants
        have = "1 tenant has" if candidate.tenants == 1 else f"{candidate.tenants} tenants share"
        words = f"{have} the device, and {need.tenants} are to share it"
        yield Finding("tenants", "met" if fits else "unmet", words)
    if need.isolation:
        has = candidate.separation
        fits = has.reaches(need.isolation)
        compared = "reaches" if fits else "is below"
        yield Finding(
            "isolation", "met" if fits else "unmet", f"isolation {has.level} {compared} {need.isolation}: {has.why}"
        )
    yield from _memory(candidate, need)


def _memory(candidate: Candidate, need: Need) -> Iterator[Finding]:
    each, wanted = candidate.memory_of_a_tenant, need.tenant_memory_bytes
    if each.total is None:
        if wanted:
            words = f"how much memory a tenant has is not recorded, and {gib(wanted)} are asked for"
            yield Finding("memory", "unmeasured", words, "memory")
        return
    if wanted:
        yield _room(each, wanted, need, "a tenant is to have")
    if each.used is not None:
        yield _room(each, each.used, need, "a tenant used")


def _room(each: Memory, wanted: int, need: Need, who: str) -> Finding:
    assert each.total is not None
    usable = each.total * need.usable
    left = f"{gib(usable)}, what {head_room(need)} leaves of its {gib(each.total)}"
    if wanted <= usable:
        return Finding("memory", "met", f"{who} {gib(wanted)} of memory, within {left}")
    return Finding("memory", "unmet", f"{who} {gib(wanted)} of memory, more than {left}")


# --- whether there is enough evidence at all ---


def _gaps(candidate: Candidate) -> Iterator[Finding]:
    plan, trials, lost = candidate.run.plan, candidate.trials, candidate.lost
    if strange := without_blocks(plan):
        words = f"{strange}: nothing tells how far fresh processes differ"
        yield Finding("evidence", "unmeasured", words, "tool")
    elif plan.imported:
        words = f"measured by {source(plan.imported)}, and nothing is decided from that"
        yield Finding("evidence", "unmeasured", words, "tool")
    elif plan.look_level is None:
        words = f"protocol {plan.protocol[:40]} shows that things run, its numbers decide nothing"
        yield Finding("evidence", "unmeasured", words, "protocol")
    if candidate.lost_share > LOST_LIMIT:
        words = f"{len(lost)} of {len(trials) + len(lost)} blocks were lost, most often: {mode(lost)[:300]}"
        yield Finding("evidence", "unmeasured", words, "again")
    elif len(trials) < FEWEST:
        words = f"{len(trials)} valid blocks, and fewer than {FEWEST} decide nothing"
        yield Finding("evidence", "unmeasured", words, "protocol")


# --- what was measured ---


def _measured(candidate: Candidate, need: Need, judged: int) -> Iterator[Finding]:
    level = LEVEL / judged
    if need.p99_ms:
        yield _p99(candidate, need.p99_ms, level)
    if need.tenant_throughput_per_s:
        yield _tenant_throughput(candidate, need, need.tenant_throughput_per_s, level)
    if need.devices:
        yield _devices(candidate, need, need.devices, level)
    if need.quality_loss_below:
        yield _quality(candidate, need.quality_loss_below, judged)
    yield from _cost(candidate, need, level)
    if need.aim == "energy" and candidate.energy is None:
        yield Finding("energy", "unmeasured", "energy was not measured, and is to be the least", "energy")
    if need.aim == "latency" and candidate.p99 is None and not need.p99_ms:
        yield _few_requests(candidate)


def _p99(candidate: Candidate, goal_ms: float, level: float) -> Finding:
    if candidate.p99 is None:
        p50 = candidate.p50.at(level) if candidate.p50 else None
        if p50 and p50.low > goal_ms:
            return Finding("p99", "unmet", f"even p50 {of(p50, 'ms')} is above {goal_ms:g} ms")
        return _few_requests(candidate)
    p99 = candidate.p99.at(level)
    shown = f"p99 {of(p99, 'ms')}"
    if p99.high <= goal_ms:
        return Finding("p99", "met", f"{shown} is within {goal_ms:g} ms")
    if p99.low > goal_ms:
        return Finding("p99", "unmet", f"{shown} is above {goal_ms:g} ms")
    return _uncertain("p99", f"{shown} may be above {goal_ms:g} ms", p99, goal_ms, level)


def _few_requests(candidate: Candidate) -> Finding:
    enough = needed("p99")
    words = (
        f"p99 is not measured: it takes {enough} requests in each process, and there were {candidate.fewest_requests}"
    )
    return Finding("p99", "unmeasured", words, "p99")


def _tenant_throughput(candidate: Candidate, need: Need, goal_per_s: float, level: float) -> Finding:
    found = candidate.tenant_throughput
    if found is None:
        return Finding("tenant_throughput", "unmeasured", "what each tenant did is not recorded", "again")
    usable = found.at(level).times(need.usable)
    shown = f"{of(usable, 'items/s', RATE_DIGITS)} for the slowest tenant, with {head_room(need)},"
    if usable.low >= goal_per_s:
        return Finding("tenant_throughput", "met", f"{shown} reach {goal_per_s:g}")
    if usable.high < goal_per_s:
        return Finding("tenant_throughput", "unmet", f"{shown} are below {goal_per_s:g}")
    return _uncertain("tenant_throughput", f"{shown} may be below {goal_per_s:g}", usable, goal_per_s, level)


def _devices(candidate: Candidate, need: Need, most: int, level: float) -> Finding:
    assert candidate.throughput is not None, "a valid trial has a throughput"
    found = candidate.throughput.at(level)
    sure, hoped = devices_needed(need, found.low), devices_needed(need, found.high)
    shown = f"{need.throughput_per_s:g} items/s take {sure} devices, with {head_room(need)}"
    if sure <= most:
        return Finding("devices", "met", f"{shown}; at most {most} are wanted")
    if hoped > most:
        return Finding("devices", "unmet", f"{shown}, and at most {most} are wanted")
    assert need.throughput_per_s is not None
    return _uncertain(
        "devices",
        f"{shown} by the low end, and at most {most} are wanted",
        found,
        need.throughput_per_s / most / need.usable,
        level,
    )


def _quality(candidate: Candidate, margin: float, judged: int) -> Finding:
    if candidate.is_baseline:
        return Finding("quality", "met", "quality: it is what the others' is counted against")
    loss = candidate.loss
    if loss is None or loss.upper is None:
        return Finding("quality", "unmeasured", "quality was not measured, or not on one and the same model", "quality")
    kind = "answers changed" if loss.metric == "agreement" else "quality loss"
    shown = f"{kind} {points(loss.loss)} (at most {points(loss.upper)})"
    if loss.p_within(margin) < ONE_SIDED / judged:
        return Finding("quality", "met", f"{shown} is within {points(margin)}")
    if loss.p_beyond(margin) < ONE_SIDED / judged:
        return Finding("quality", "unmet", f"{shown} is more than {points(margin)}")
    why = ""
    if loss.p_within(margin) < ONE_SIDED:
        why = f": that is shown of it alone, and not of {judged} configurations at once"
    elif loss.metric == "agreement":
        why = ": without labels nobody knows how many of them are worse"
    elif loss.items < FEWEST_ITEMS:
        why = f": {loss.items} items are too few to tell, {FEWEST_ITEMS} are needed"
    return Finding("quality", "uncertain", f"{shown} may be more than {points(margin)}{why}", "items")


def _cost(candidate: Candidate, need: Need, level: float) -> Iterator[Finding]:
    prices, budget = need.prices, need.budget
    if prices is None:
        return
    if candidate.cost is None:
        if budget or need.aim == "cost":
            words = "what it costs is not known: electricity has a price, and energy was not measured"
            yield Finding("cost", "unmeasured", words, "energy")
        return
    asked = (
        ("per_million", candidate.cost.at(level), "for a million inferences"),
        ("per_month", _month(candidate, need, level), "a month"),
    )
    for name, found, per in asked:
        bound = getattr(budget, name) if budget else None
        if bound is None or found is None:
            continue
        shown = f"{of(found, prices.currency)} {per}"
        if found.high <= bound:
            yield Finding("cost", "met", f"{shown} is within {bound:g}")
        elif found.low > bound:
            yield Finding("cost", "unmet", f"{shown} is more than {bound:g}")
        else:
            yield _uncertain("cost", f"{shown} may be more than {bound:g}", found, bound, level)


def _month(candidate: Candidate, need: Need, level: float) -> Figure | None:
    """Of the devices that are told; its low end is of as few as may do."""
    assert candidate.throughput is not None, "what has a cost has a throughput"
    rate = candidate.throughput.at(level)
    told = cost_per_month(candidate, need, devices_needed(need, rate.low), level)
    hoped = cost_per_month(candidate, need, devices_needed(need, rate.high), level)
    return replace(told, low=hoped.low) if told and hoped else None


def _uncertain(goal: str, words: str, found: Figure, bound: float, level: float) -> Finding:
    distance = abs(math.log(found.estimate / bound)) if found.estimate > 0 else 0.0
    blocks = pairs_needed(found.sd, distance, level) if distance and math.isfinite(found.sd) else 0
    return Finding(goal, "uncertain", words, "blocks", blocks)
