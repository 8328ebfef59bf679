"""What is recommended, fact by fact."""

from __future__ import annotations

from bench.judge.reasons import points
from bench.judge.recommend.amounts import gib, head_room, number, of
from bench.judge.recommend.answer import Answer, Weighed
from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.figures import Figure
from bench.records import PROCESS
from bench.report.numbers import counted, rate
from bench.report.recommend.need import currency

MOST_STEPS = 8
LONGEST = 300


def facts(answer: Answer, best: Weighed) -> list[tuple[str, str]]:
    """(name, text): what it gives, takes and costs, and what of that was not measured."""
    found, need = best.candidate, answer.need
    told = [("the model", made)] if (made := made_of(found)) else []
    if found.throughput and answer.per_s:
        told.append(("measured throughput", f"{rates(found.throughput)} items/s, all tenants together, at full load"))
        end = f"the low end, at 95 % for all {answer.judged} at once" if answer.judged > 1 else "the low end"
        told.append(("plan with at most", f"{rate(answer.per_s)} items/s per device: {head_room(need)}, of {end}"))
    if need.throughput_per_s and answer.devices:
        told.append(("devices", f"{answer.devices} for {rate(need.throughput_per_s)} items/s"))
    told.append(("shared by", laid_out(found)))
    told.append(("p99", of(found.p99, "ms") + ", of the slowest tenant" if found.p99 else _few(found)))
    told.append(("quality", _quality(found)))
    told.append(("isolation", f"{found.separation.level}: {found.separation.why}"))
    told.append(("memory", _memory(found)))
    if found.cost:
        told.append(("cost of a million inferences", f"{of(found.cost, currency(answer))}, at full planned load"))
    if answer.month and answer.devices:
        devices = counted(answer.devices, "device")
        told.append(("cost of a month", f"{_month(answer.month, currency(answer))}, of {devices}"))
    told.append(("energy of an inference", _energy(found)))
    told.append(("evidence", f"{counted(len(found.trials), 'valid block')} of {len(found.trials) + len(found.lost)}"))
    return told


def rates(found: Figure) -> str:
    """Items per second: "882.6 [871.2, 894.1]"."""
    return f"{rate(found.estimate)} [{rate(found.low)}, {rate(found.high) if found.high < 1e15 else '?'}]"


def _month(found: Figure, currency: str) -> str:
    """Devices cost what they cost, so without electricity there is no interval."""
    same = number(found.low) == number(found.high)
    return f"{number(found.estimate)} {currency}".strip() if same else of(found, currency)


def _few(found: Candidate) -> str:
    return f"not measured: {found.fewest_requests:,} requests in a process are too few"


def _quality(found: Candidate) -> str:
    if found.is_baseline:
        return "the baseline: what the others are counted against"
    if found.loss is None:
        return "not measured"
    kind = "answers changed" if found.loss.metric == "agreement" else "lost"
    upper = "" if found.loss.upper is None else f", at most {points(found.loss.upper)}"
    return f"{kind} {points(found.loss.loss)}{upper}, on {found.loss.items:,} items"


def _memory(found: Candidate) -> str:
    memory = found.memory_of_a_tenant
    if memory.used is None or memory.total is None:
        return "not measured, so its head-room is not shown"
    return f"a tenant used {gib(memory.used)} of {gib(memory.total)}: {100 * memory.used / memory.total:.3g} %"


def _energy(found: Candidate) -> str:
    if found.energy is None:
        return "not measured"
    shown = of(found.energy, "J")
    return shown if found.energy_from == "measured" else f"{shown}, from the watts that the need states"


def laid_out(candidate: Candidate) -> str:
    """How many tenants share the device, and how."""
    many = counted(candidate.tenants, "tenant")
    found = {
        "full": "one tenant, which has the device to itself",
        "mps": f"{many} computing at the same time (MPS)",
        "time_shared": f"{many} that share the device in turns",
        "cpuset": f"{many}, each pinned to cores of its own",
        "green_context": "one tenant on a share of the multiprocessors",
    }.get(candidate.kind or "", f"{many} on {candidate.division}")
    if candidate.layout and candidate.layout.instances:
        words_of_layout = candidate.layout.words[:LONGEST]
        own = f"{many}, one on each MIG slice: {words_of_layout}"
        found = own if candidate.kind == "mig" else f"{found}: {words_of_layout}"
    return found if candidate.isolation == PROCESS else f"{found}, in containers ({candidate.isolation})"


def made_of(candidate: Candidate) -> str:
    """What was done to the model and what runs it, as run.json names them; "" where it cannot be read."""
    config = candidate.run.description.get("config")
    optimizations = config.get("optimizations") if isinstance(config, dict) else None
    node = optimizations.get(candidate.optimization) if isinstance(optimizations, dict) else None
    if not isinstance(node, dict):
        return ""
    passes = node.get("passes")
    steps = [_step(one) for one in (passes if isinstance(passes, list) else [])[:MOST_STEPS]]
    return ", then ".join(step for step in (*steps, _step(node.get("runtime"))) if step)


def _step(node: object) -> str:
    """ "PruneStructured (ratio 0.5)"."""
    target = node.get("_target_") if isinstance(node, dict) else None
    if not isinstance(node, dict) or not isinstance(target, str):
        return ""
    plain = [
        f"{str(key)[:40]} {str(value)[:60]}"
        for key, value in node.items()
        if key != "_target_" and isinstance(value, (str, int, float)) and value is not False
    ]
    name = target.rpartition(".")[2][:60]
    return f"{name} ({', '.join(plain[:MOST_STEPS])})" if plain else name
