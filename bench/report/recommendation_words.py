"""A recommendation in words and numbers for people: the same in the terminal and on the page, which only lay it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.judge.reasons import points
from bench.judge.recommend.answer import Answer, Weighed
from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.figures import Figure
from bench.judge.recommend.findings import gib, number, of
from bench.judge.recommend.rules_of_thumb import DOCUMENT, Said
from bench.records import PROCESS
from bench.report.numbers import NONE, counted

BEST_WORDS = {
    "cost": "the cheapest", "energy": "the one that takes least energy", "throughput": "the fastest",
    "latency": "the one that answers soonest",
}  # fmt: skip
STANDING_WORDS = {"satisfies": "satisfies", "open": "not known", "fails": "falls out"}
ANSWER_WORDS = {
    "agrees": "The data agrees", "disagrees": "The data disagrees", "cannot_say": "The data cannot say",
    "impossible": "It is impossible", "does_not_apply": "It does not apply here",
}  # fmt: skip
SLOWED = 1.05
MOST_STEPS = 8
MOST_NAMED = 6
LONGEST = 300


@dataclass(frozen=True)
class Line:
    """One candidate of the table."""

    name: str
    tenants: str
    rate: str
    p99: str
    quality: str
    cost: str
    standing: str
    standing_words: str
    why: tuple[str, ...]
    is_best: bool
    on_front: bool


@dataclass(frozen=True)
class Words:
    """headline: the answer. lead: why. facts: (name, text). left_out: counts in a sentence. rules: (the document's
    words, translation and section, what the data says)."""

    headline: str
    setting: str
    lead: str
    wanted: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    ties: str
    cautions: list[str]
    lines: list[Line]
    rules: list[tuple[str, str, str]]
    no_rule: str
    measure: list[tuple[str, str]]
    cost_title: str


def words(answer: Answer) -> Words:
    """Of everything that the answer holds."""
    best = answer.best
    return Words(
        headline=_headline(answer),
        setting=f"{answer.workload}, {answer.scenario}, on {answer.device}",
        lead=_lead(answer),
        wanted=wanted(answer),
        facts=_facts(answer, best) if best else [],
        ties=_ties(answer),
        cautions=list(_cautions(answer)),
        lines=[_line(answer, item) for item in answer.weighed],
        rules=[_rule(said) for said in answer.rules],
        no_rule=_no_rule(answer),
        measure=[(item.why, item.command) for item in answer.to_measure],
        cost_title=f"{_currency(answer) or 'cost'} per million",
    )


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


def wanted(answer: Answer) -> list[tuple[str, str]]:
    """The need, key by key: the user's own word for it, and what it means."""
    need = answer.need
    said = {
        "workload": need.workload,
        "scenario": need.scenario,
        "p99_ms": need.p99_ms and f"99 of 100 requests of each tenant are answered within {need.p99_ms:g} ms",
        "throughput_per_s": need.throughput_per_s
        and f"{number(need.throughput_per_s)} items/s, all tenants on all devices together",
        "tenant_throughput_per_s": need.tenant_throughput_per_s
        and f"{number(need.tenant_throughput_per_s)} items/s for each tenant",
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
    return ", ".join(f"at most {bound:g} {_currency(answer)} {per}" for bound, per in bounds if bound)


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


def _headline(answer: Answer) -> str:
    if answer.best:
        return f"Deploy {answer.best.candidate.name}"
    return "Measure more before you deploy" if answer.only_lacks_evidence else "Nothing measured satisfies this need"


def _lead(answer: Answer) -> str:
    total, best = len(answer.weighed), answer.best
    standings = [item.standing for item in answer.weighed]
    measured = f"{counted(total, 'configuration was', 'configurations were')} measured"
    if best:
        satisfy = standings.count("satisfies")
        which = "only this one is shown to satisfy the need" if satisfy == 1 else f"{satisfy} of them satisfy the need"
        chosen = "" if satisfy == 1 else f", and this is {BEST_WORDS[answer.need.aim]} of them"
        return (
            f"That is the model as {best.candidate.optimization} makes it, for {laid_out(best.candidate)}. "
            f"{measured}; {which}{chosen}."
        )
    if answer.only_lacks_evidence:
        return (
            f"{measured}. None is shown to satisfy the need; of {standings.count('open')} it is not known, because "
            "something was not measured, or not well enough. Nothing is recommended on a guess: below stands what to "
            "measure."
        )
    return (
        f"{measured}, and each of them fails the need for certain. The table says by how much."
        if total
        else ("No configuration was measured in which every tenant runs the workload.")
    )


def _facts(answer: Answer, best: Weighed) -> list[tuple[str, str]]:
    found, need = best.candidate, answer.need
    share = f"{100 * need.headroom:.3g} %"
    facts = [("the model", made)] if (made := made_of(found)) else []
    if found.throughput and answer.per_s:
        facts.append(("measured throughput", f"{of(found.throughput, 'items/s')}, all tenants together, at full load"))
        facts.append(
            ("plan with at most", f"{number(answer.per_s)} items/s per device: {share} head-room, of the low end")
        )
    if need.throughput_per_s and answer.devices:
        facts.append(("devices", f"{answer.devices} for {number(need.throughput_per_s)} items/s"))
    facts.append(("shared by", laid_out(found)))
    facts.append(("p99", of(found.p99, "ms") + ", of the slowest tenant" if found.p99 else _few(found)))
    facts.append(("quality", _quality(found)))
    facts.append(("isolation", f"{found.separation.level}: {found.separation.why}"))
    facts.append(("memory", _memory(answer, found)))
    if found.cost:
        facts.append(("cost of a million inferences", of(found.cost, _currency(answer))))
    if answer.month:
        facts.append(("cost of a month", _month(answer.month, _currency(answer))))
    facts.append(("energy of an inference", _energy(found)))
    facts.append(("evidence", f"{counted(len(found.trials), 'valid block')} of {len(found.trials) + len(found.lost)}"))
    return facts


def _month(found: Figure, currency: str) -> str:
    """Whole devices cost the same at either end, so often there is no interval."""
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


def _memory(answer: Answer, found: Candidate) -> str:
    memory = found.memory_of_a_tenant
    if memory.used is None or memory.total is None:
        return "not measured, so its head-room is not shown"
    return f"a tenant used {gib(memory.used)} of {gib(memory.total)}: {100 * memory.used / memory.total:.3g} %"


def _energy(found: Candidate) -> str:
    if found.energy is None:
        return "not measured"
    shown = of(found.energy, "J")
    return shown if found.energy_from == "measured" else f"{shown}, from the watts that the need states"


def _ties(answer: Answer) -> str:
    if not answer.ties or answer.best is None:
        return ""
    paired = [f"{item.candidate.name} ({item.against_best})" for item in answer.ties if item.against_best]
    alone = [item.candidate.name for item in answer.ties if item.against_best is None]
    name, aim = answer.best.candidate.name, answer.need.aim
    parts = []
    if paired:
        parts.append(f"In {aim} these cannot be told from {name}: {_some(paired)}. Either will do.")
    if alone:
        parts.append(f"From other runs, which share no blocks with it, so no difference is shown: {_some(alone)}.")
    return " ".join(parts)


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _cautions(answer: Answer) -> Iterator[str]:
    if answer.device_kind == "cpu":
        yield "Measured on a CPU: it says nothing about a GPU."
    for run in answer.runs:
        config = run.description.get("config")
        workload = config.get("workload") if isinstance(config, dict) else None
        if isinstance(workload, dict) and workload.get("weights") == "random":
            yield (
                f"{run.name}: the weights of {run.plan.workload} are random. Speed is what it is; quality says little "
                "about trained weights."
            )
        if run.plan.imported:
            missing = ", ".join(run.plan.imported.missing) or "nothing"
            yield f"{run.name}: measured by {run.plan.imported.tool}, which does not tell: {missing}."
    if answer.best is None:
        return
    best = answer.best.candidate
    if best.p99:
        yield (
            "p99 is of requests that do not queue: each tenant sends one when the one before is answered. Where "
            "requests arrive at random they wait for each other as well, the more the nearer the load is to full."
        )
    for row in best.beside:
        if row.slow_down and row.slow_down.low and row.slow_down.low > SLOWED:
            yield f"Beside {row.neighbours} a tenant was slowed down {row.slow_down} on {best.partition}."


def _line(answer: Answer, item: Weighed) -> Line:
    found = item.candidate
    why = tuple(finding.words for finding in item.reasons)
    if not why and item.against_best:
        tied = any(item is other for other in answer.ties)
        why = (f"{'not told from the best' if tied else 'behind the best'}: {item.against_best}",)
    elif not why:
        is_best = item is answer.best
        why = (f"the best in {answer.need.aim}" if is_best else "from another run, with no block in common",)
    return Line(
        name=found.name + (f" ({found.run.name})" if len(answer.runs) > 1 else ""),
        tenants=str(found.tenants),
        rate=of(found.throughput) if found.throughput else NONE,
        p99=of(found.p99) if found.p99 else "too few" if found.trials else NONE,
        quality=_short_quality(found),
        cost=number(found.cost.estimate) if found.cost else NONE,
        standing=item.standing,
        standing_words=STANDING_WORDS[item.standing],
        why=why,
        is_best=item is answer.best,
        on_front=any(found is member for member in answer.front.members),
    )


def _short_quality(found: Candidate) -> str:
    if found.is_baseline:
        return "baseline"
    if found.loss is None:
        return NONE
    return f"{points(found.loss.loss)}" + ("" if found.loss.upper is None else f" (≤ {points(found.loss.upper)})")


def _rule(said: Said) -> tuple[str, str, str]:
    rule = said.rule
    return (
        rule.original,
        f"{rule.translated} ({DOCUMENT}, section {rule.section})",
        f"{ANSWER_WORDS[said.answer]}: {said.words}.",
    )


def _no_rule(answer: Answer) -> str:
    if answer.rules:
        return ""
    scene = answer.need.scene
    if scene is None:
        return "The need names no scene, so no rule of thumb was looked up. Say e.g. `scene: inference`."
    return f"{DOCUMENT} has no rule for {scene.replace('_', ' ')} on {answer.product}."


def _currency(answer: Answer) -> str:
    return answer.need.prices.currency if answer.need.prices else ""
