"""What to measure for an answer that the evidence does not give yet, as commands. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.judge.recommend.asking import command, wanted
from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.finding import Finding
from bench.judge.recommend.lasting import MARGIN, PUBLISH, STANDARD, Pace, lasts_s, rate_per_s
from bench.judge.recommend.need import Need
from bench.judge.recommend.ranking import Levels
from bench.judge.tails import needed
from bench.stored import StoredRun

MOST_BLOCKS = 200
"""That anybody is asked to measure: what takes more lies too near to its goal to be told."""
PUBLISH_TRIAL_LIMIT_S = 600
MOST_CELLS = 5
"""That are measured for their p99 at first: windows that hold thousands of requests are long."""


@dataclass(frozen=True)
class Suggestion:
    """command is "" where no command would do. lasts_s: about how long it takes, without building models; None where
    the run does not tell, or it goes on for as long as verdicts are open."""

    why: str
    command: str = ""
    lasts_s: float | None = None


Weighed = Sequence[tuple[Candidate, Sequence[Finding]]]


def suggestions(weighed: Weighed, need: Need, best: Candidate | None, levels: Levels) -> Iterator[Suggestion]:
    """For candidates that are open, and not behind the best anyway; where all fail, for what might satisfy."""
    answered = best is not None
    still_open = [
        (candidate, lacking)
        for candidate, found in weighed
        if (lacking := [finding for finding in found if finding.outcome in ("uncertain", "unmeasured")])
        and not any(finding.outcome == "unmet" for finding in found)
        and (best is None or levels.may_be_ahead(candidate, best, need.aim))
    ]
    lacks = {finding.lack for _, lacking in still_open for finding in lacking}
    for run in dict.fromkeys(candidate.run.folder for candidate, _ in still_open):
        here = [(candidate, lacking) for candidate, lacking in still_open if candidate.run.folder == run]
        yield from _again(here, need, answered, levels)
    if "items" in lacks or "quality" in lacks:
        yield Suggestion(
            "quality is not told finely enough: let the workload judge more labelled items (its evaluation_... option)"
        )
    if "energy" in lacks:
        yield Suggestion("energy comes from a GPU's counter, in long windows; or say prices.power.watts, by a meter")
    if "memory" in lacks:
        yield Suggestion("the record does not tell how much memory the device has: measure with this version of bench")
    if not still_open and not answered:
        yield from _elsewhere(weighed, need)


def _again(every: Weighed, need: Need, answered: bool, levels: Levels) -> Iterator[Suggestion]:
    """One command for the cells of one run that may satisfy once they are measured well enough."""
    still_open = _first(every, need, levels)
    lacking = [finding for _, found in still_open for finding in found]
    lacks = {finding.lack for finding in lacking}
    run = still_open[0][0].run
    names = _names([candidate.name for candidate, _ in still_open])
    if "again" in lacks:
        spoiled = _names([candidate.name for candidate, found in still_open if _lacks(found, "again")])
        yield Suggestion(
            f"many trials of {spoiled} were spoiled; this says what spoils measurements here", "bench doctor"
        )
    if not lacks & {"protocol", "p99", "again", "blocks", "tool"}:
        return
    enough = [finding.blocks for finding in lacking if finding.lack == "blocks"]
    blocks = max((count for count in enough if 0 < count <= MOST_BLOCKS), default=0)
    if "blocks" in lacks and not blocks and lacks == {"blocks"}:
        yield Suggestion(f"{names}: too near to the goal, more than {MOST_BLOCKS} blocks would be needed to tell")
        return
    tail = bool(need.p99_ms) or need.aim == "latency"
    protocol = ["protocol=publish" if tail else "protocol=standard"]
    if "p99" in lacks:
        protocol += _window(run, [candidate for candidate, found in still_open if _lacks(found, "p99")])
    pace = PUBLISH if tail else STANDARD
    if blocks > pace.blocks:
        protocol += [f"protocol.blocks={blocks}", "protocol.doublings=0"]
    reason = {
        "p99": f"a p99 takes {needed('p99'):,} requests in each process",
        "blocks": f"about {blocks} blocks would tell" if blocks else "more blocks would tell",
    }
    said = [reason[lack] for lack in ("p99", "blocks") if lack in lacks] or [
        "valid blocks of a protocol that decides are missing"
    ]
    may = "may be better still" if answered else "may satisfy the need"
    if len(still_open) < len(every):
        names += f", the best {len(still_open)} of {len(every)} by {_by(need)},"
    cells = [candidate for candidate, _ in still_open]
    fixed = tail or blocks > pace.blocks
    yield Suggestion(
        f"{names} {may}: {' and '.join(said)}",
        command(run, cells, protocol),
        lasts_s(run, wanted(run, cells), {cell.isolation for cell in cells}, _paced(pace, protocol)) if fixed else None,
    )


def _first(still_open: Weighed, need: Need, levels: Levels) -> Weighed:
    """Of many that lack a p99, the best few that lack nothing else, by the objective (by p50 where that is p99)."""
    if len(still_open) <= MOST_CELLS:
        return still_open
    only_p99 = [(candidate, lacking) for candidate, lacking in still_open if {one.lack for one in lacking} == {"p99"}]

    def badness(candidate: Candidate) -> float:
        if need.aim == "latency":
            return candidate.p50.estimate if candidate.p50 else math.inf
        level = levels.badness(candidate, need.aim)
        return math.inf if level is None else level

    return sorted(only_p99, key=lambda item: badness(item[0]))[:MOST_CELLS] or still_open


def _by(need: Need) -> str:
    return "p50" if need.aim == "latency" else need.aim


def _paced(pace: Pace, words: Sequence[str]) -> Pace:
    """With what these words change of it."""
    told = {name: float(value) for name, _, value in (word.partition("=") for word in words[1:])}
    window_s = told.get("protocol.window_s", pace.window_s)
    return replace(
        pace,
        blocks=int(told.get("protocol.blocks", pace.blocks)),
        window_s=window_s,
        window_limit_s=told.get("protocol.window_limit_s", max(window_s, pace.window_limit_s)),
    )


def _lacks(found: Sequence[Finding], what: str) -> bool:
    return any(finding.lack == what for finding in found)


def _window(run: StoredRun, few: Sequence[Candidate]) -> list[str]:
    """As long as the slowest of them needs for its p99, at the rate at which it was seen to answer. Nothing where
    protocol=publish does that by itself: it asks for so many requests, and waits for them a minute at most."""
    rates = [rate for candidate in few if (rate := rate_per_s(candidate.trials))]
    if not rates:
        return []
    seconds = math.ceil(MARGIN * needed("p99") / min(rates))
    words = []
    if run.plan.min_requests >= needed("p99"):  # it was asked for so many, and did not get them
        words.append(f"protocol.window_s={seconds}")
    if seconds > PUBLISH.window_limit_s:
        words.append(f"protocol.window_limit_s={seconds}")
    if seconds > PUBLISH_TRIAL_LIMIT_S / 2:
        words.append(f"protocol.trial_limit_s={2 * seconds}")
    return words


def _elsewhere(weighed: Weighed, need: Need) -> Iterator[Suggestion]:
    """Everything that was measured fails: ways of sharing that were not measured may not."""
    if not weighed:
        return
    run, tenants = weighed[0][0].run, max(candidate.tenants for candidate, _ in weighed)
    on_a_gpu = run.plan.device_kind == "cuda"
    if need.tenants and tenants < need.tenants:
        more = ["partitions=[time_shared]", f"partitions.time_shared.tenants={need.tenants}"]
        if on_a_gpu and need.tenants <= 7:
            more[0] = "partitions=[time_shared,mig_1of7]"
        yield Suggestion(f"no more than {tenants} tenants shared the device in any measurement", command(run, [], more))
    level = need.isolation
    enough = [candidate for candidate, _ in weighed if candidate.tenants >= (need.tenants or 1)]
    if not level or any(candidate.separation.reaches(level) for candidate in enough):
        return
    asked = f"isolation {level}" + (f" with {need.tenants} tenants" if need.tenants else "")
    if on_a_gpu:
        layouts = "partitions=[mig_1of7,mig_1of3]" if need.tenants else "partitions=[full,mig_1of7,mig_1of3]"
        yield Suggestion(f"nothing with {asked} was measured", command(run, [], [layouts]))
    elif level == "medium":
        changes = ["partitions=[cpuset]", "isolation=[container]"]
        if need.tenants and need.tenants > 1:
            changes.insert(1, f"partitions.cpuset.tenants={need.tenants}")
        yield Suggestion(f"nothing with {asked} was measured", command(run, [], changes))
    else:
        yield Suggestion(f"{asked} does not exist on a CPU that tenants share: give each a machine of its own")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
