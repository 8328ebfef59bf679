"""A need in words: the user's own keys, and what they mean."""

from __future__ import annotations

from bench.judge.reasons import points
from bench.judge.recommend.amounts import gib
from bench.judge.recommend.answer import Answer
from bench.report.numbers import counted, rate

BEST_WORDS = {
    "cost": "the cheapest", "energy": "the one that takes least energy", "throughput": "the fastest",
    "latency": "the one that answers soonest",
}  # fmt: skip


def wanted(answer: Answer) -> list[tuple[str, str]]:
    """The need, key by key: the user's own word for it, and what it means."""
    need = answer.need
    said = {
        "workload": need.workload,
        "scenario": need.scenario,
        "p99_ms": need.p99_ms and f"99 of 100 requests of each tenant are answered within {need.p99_ms:g} ms",
        "throughput_per_s": need.throughput_per_s
        and f"{rate(need.throughput_per_s)} items/s, all tenants on all devices together",
        "tenant_throughput_per_s": need.tenant_throughput_per_s
        and f"{rate(need.tenant_throughput_per_s)} items/s for each tenant",
        "devices": need.devices and f"at most {counted(need.devices, 'device')}",
        "tenants": need.tenants and f"at least {counted(need.tenants, 'tenant')} on one device",
        "quality_loss_below": need.quality_loss_below
        and f"at most {points(need.quality_loss_below)} lost against the baseline",
        "isolation": need.isolation and f"tenants are separated to the level {need.isolation} or better",
        "memory": need.tenant_memory_bytes and f"{gib(need.tenant_memory_bytes)} for each tenant",
        "scene": need.scene and need.scene.replace("_", " "),
        "prices": _prices(answer),
        "budget": _budget(answer),
        "headroom": f"{100 * need.headroom:.3g} % of load and memory stay free",
        "objective": f"of what satisfies all that, {BEST_WORDS[need.aim]}",
    }
    return [(key, text) for key, text in said.items() if text]


def _prices(answer: Answer) -> str:
    prices = answer.need.prices
    if prices is None:
        return ""
    parts = []
    if prices.price_per_hour:
        parts.append(f"{prices.price_per_hour:g} {prices.currency}".strip() + " for an hour of a device")
    if prices.power:
        parts.append(f"{prices.power.price_per_kwh:g} {prices.currency}".strip() + " for a kWh")
        if prices.power.watts:
            parts.append(f"a device draws {prices.power.watts:g} W, as you say")
    return ", ".join(parts)


def _budget(answer: Answer) -> str:
    budget = answer.need.budget
    if budget is None:
        return ""
    bounds = ((budget.per_million, "for a million inferences"), (budget.per_month, "a month"))
    return ", ".join(f"at most {bound:g} {currency(answer)} {per}" for bound, per in bounds if bound)


def currency(answer: Answer) -> str:
    return answer.need.prices.currency if answer.need.prices else ""
