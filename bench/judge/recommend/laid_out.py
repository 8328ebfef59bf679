"""What follows from how a candidate is laid out, whatever was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bench.judge.recommend.amounts import gib, head_room
from bench.judge.recommend.candidates import Candidate, Memory
from bench.judge.recommend.finding import Finding
from bench.judge.recommend.need import Need


def laid_out(candidate: Candidate, need: Need) -> Iterator[Finding]:
    """Tenants, isolation and memory."""
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
