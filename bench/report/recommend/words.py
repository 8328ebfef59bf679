"""A recommendation in words and numbers for people: the same in the terminal and on the page, which only lay it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.judge.reasons import points
from bench.judge.recommend.amounts import number, of
from bench.judge.recommend.answer import Answer, Weighed
from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.rules_of_thumb import DOCUMENT, Said
from bench.judge.untold import untold
from bench.report.numbers import NONE, counted
from bench.report.recommend.facts import facts, laid_out, rates
from bench.report.recommend.need import BEST_WORDS, currency, wanted

STANDING_WORDS = {"satisfies": "satisfies", "open": "not known", "fails": "falls out"}
ANSWER_WORDS = {
    "agrees": "The data agrees", "disagrees": "The data disagrees", "cannot_say": "The data cannot say",
    "impossible": "It is impossible", "does_not_apply": "It does not apply here",
}  # fmt: skip
SLOWED = 1.05
MOST_NAMED = 6


@dataclass(frozen=True)
class Line:
    """One candidate of the table. few: its p99 lacks requests. behind: how far behind the best it is, in short; "" of
    what does not satisfy."""

    name: str
    tenants: str
    rate: str
    p99: str
    few: bool
    quality: str
    cost: str
    standing: str
    standing_words: str
    why: tuple[str, ...]
    behind: str
    is_best: bool
    on_front: bool


@dataclass(frozen=True)
class Words:
    """headline: the answer. lead: why. wanted, facts: (name, text). rules: (the document's words, translation and
    section, what the data says). measure: (why, command or "")."""

    headline: str
    setting: str
    lead: str
    wanted: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    ties: str
    cautions: list[str]
    unplaced: str
    lines: list[Line]
    rules: list[tuple[str, str, str]]
    no_rule: str
    measure: list[tuple[str, str]]
    asks_p99: bool
    cost_title: str
    behind_title: str


def words(answer: Answer) -> Words:
    """Of everything that the answer holds."""
    best = answer.best
    return Words(
        headline=_headline(answer),
        setting=f"{answer.workload}, {answer.scenario}, on {answer.device}",
        lead=_lead(answer),
        wanted=wanted(answer),
        facts=facts(answer, best) if best else [],
        ties=_ties(answer),
        cautions=list(_cautions(answer)),
        unplaced=_unplaced(answer),
        lines=[_line(answer, item) for item in answer.weighed],
        rules=[_rule(said) for said in answer.rules],
        no_rule=_no_rule(answer),
        measure=[(f"{item.why}{_lasting(item.lasts_s)}", item.command) for item in answer.to_measure],
        asks_p99=answer.need.p99_ms is not None or answer.need.aim == "latency",
        behind_title=f"behind the best in {answer.need.aim}",
        cost_title=f"{currency(answer) or 'cost'} per million",
    )


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
            f"{measured}; {which}{chosen}.{_at_once(answer)}"
        )
    if answer.only_lacks_evidence:
        return (
            f"{measured}. None is shown to satisfy the need; of {standings.count('open')} it is not known, because "
            "something was not measured, or not well enough. Nothing is recommended on a guess: below stands what to "
            "measure."
        )
    if total:
        return f"{measured}, and each of them fails the need.{_at_once(answer)} The table says by how much."
    return "No configuration was measured in which every tenant runs the workload."


def _at_once(answer: Answer) -> str:
    """How sure the standings are."""
    if answer.judged < 2:
        return " How it stands holds at 95 %." if answer.judged else ""
    return f" How they stand holds at 95 %, for all {answer.judged} that were put to the goals at once."


def _lasting(seconds: float | None) -> str:
    if seconds is None:
        return ""
    about = f"{seconds / 3600:.1f} h" if seconds >= 90 * 60 else f"{max(1, round(seconds / 60))} min"
    return f". Measuring that takes about {about}, without building models"


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
        parts.append(f"These share no block with it, so no difference is shown: {_some(alone)}.")
    return " ".join(parts)


def _unplaced(answer: Answer) -> str:
    """Which cells the trade-offs leave out, and what each lacks."""
    front = answer.front
    told = []
    for candidate in front.unplaced:
        lacks: list[str] = [axis for axis in front.axes if front.badness(candidate, axis) is None]
        told.append(f"{candidate.name} (no {' and no '.join(lacks)})")
    return f"Not placed: {_some(told)}." if told else ""


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
            yield f"{run.name}: {untold(run.plan.imported)}"
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
        where = "behind" if item.against_best.estimate > 1 else "ahead of"
        why = (f"{'not told from' if tied else where} the best: {item.against_best}",)
    elif not why:
        is_best = item is answer.best
        why = (f"the best in {answer.need.aim}" if is_best else "no block in common with the best",)
    return Line(
        name=found.name + (f" ({found.run.name})" if len(answer.runs) > 1 else ""),
        tenants=str(found.tenants),
        rate=rates(found.throughput) if found.throughput else NONE,
        p99=of(found.p99) if found.p99 else f"too few ({found.fewest_requests:,})" if found.trials else NONE,
        few=found.p99 is None,
        quality=_short_quality(found),
        cost=number(found.cost.estimate) if found.cost else NONE,
        standing=item.standing,
        standing_words=STANDING_WORDS[item.standing],
        why=why,
        behind=_behind(answer, item),
        is_best=item is answer.best,
        on_front=any(found is member for member in answer.front.members),
    )


def _behind(answer: Answer, item: Weighed) -> str:
    if item.standing != "satisfies":
        return ""
    if item is answer.best:
        return "the best"
    tied = any(item is other for other in answer.ties)
    return f"{item.against_best or 'no common block'}{' (tied)' if tied and item.against_best else ''}"


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
