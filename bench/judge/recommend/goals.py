"""Whether what was measured reaches the goals of a need. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.judge.loss import FEWEST_ITEMS, ONE_SIDED
from bench.judge.reasons import points
from bench.judge.recommend.amounts import RATE_DIGITS, head_room, of
from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.costs import cost_per_month, devices_needed
from bench.judge.recommend.figures import Figure
from bench.judge.recommend.finding import Finding, uncertain
from bench.judge.recommend.need import Need
from bench.judge.speedup import LEVEL
from bench.judge.tails import needed


def measured(candidate: Candidate, need: Need, judged: int) -> Iterator[Finding]:
    """Of each goal, at a level at which it holds for so many candidates at once."""
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
    return uncertain("p99", f"{shown} may be above {goal_ms:g} ms", p99, goal_ms, level)


def _few_requests(candidate: Candidate) -> Finding:
    words = f"p99 not measured: fewer than {needed('p99'):,} requests in a process"
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
    return uncertain("tenant_throughput", f"{shown} may be below {goal_per_s:g}", usable, goal_per_s, level)


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
    return uncertain(
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
            yield uncertain("cost", f"{shown} may be more than {bound:g}", found, bound, level)


def _month(candidate: Candidate, need: Need, level: float) -> Figure | None:
    """Of the devices that are told; its low end is of as few as may do."""
    assert candidate.throughput is not None, "what has a cost has a throughput"
    rate = candidate.throughput.at(level)
    told = cost_per_month(candidate, need, devices_needed(need, rate.low), level)
    hoped = cost_per_month(candidate, need, devices_needed(need, rate.high), level)
    return replace(told, low=hoped.low) if told and hoped else None
