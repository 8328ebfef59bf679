"""What to measure for an answer that the evidence does not give yet, as commands. Pure.

Commands repeat how a run was asked for (run.json, which anybody may have written: its words are quoted for a shell, and
nothing of it is executed) with what has to change.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.finding import Finding
from bench.judge.recommend.need import Need
from bench.judge.recommend.ranking import Levels
from bench.judge.tails import needed
from bench.records import PROCESS
from bench.stored import StoredRun

MOST_BLOCKS = 200
"""That anybody is asked to measure: what takes more lies too near to its goal to be told."""
STANDARD_BLOCKS, PUBLISH_BLOCKS = 10, 20
PUBLISH_LIMIT_S, PUBLISH_TRIAL_LIMIT_S = 60, 600
MARGIN = 1.25
"""Rates differ from trial to trial, and every process of every trial needs its requests."""
MOST_WORDS, LONGEST_WORD = 50, 2000


@dataclass(frozen=True)
class Suggestion:
    """command is "" where no command would do."""

    why: str
    command: str = ""


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
        yield from _again(here, need, answered)
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


def _again(still_open: Weighed, need: Need, answered: bool) -> Iterator[Suggestion]:
    """One command for all cells of one run that may satisfy once they are measured well enough."""
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
    wanted = [finding.blocks for finding in lacking if finding.lack == "blocks"]
    blocks = max((count for count in wanted if 0 < count <= MOST_BLOCKS), default=0)
    if "blocks" in lacks and not blocks and lacks == {"blocks"}:
        yield Suggestion(f"{names}: too near to the goal, more than {MOST_BLOCKS} blocks would be needed to tell")
        return
    tail = bool(need.p99_ms) or need.aim == "latency"
    protocol = ["protocol=publish" if tail else "protocol=standard"]
    if "p99" in lacks:
        protocol += _window(run, [candidate for candidate, found in still_open if _lacks(found, "p99")])
    if blocks > (PUBLISH_BLOCKS if tail else STANDARD_BLOCKS):
        protocol += [f"protocol.blocks={blocks}", "protocol.doublings=0"]
    reason = {
        "p99": "p99 takes thousands of requests in each process",
        "blocks": f"about {blocks} blocks would tell" if blocks else "more blocks would tell",
    }
    said = [reason[lack] for lack in ("p99", "blocks") if lack in lacks] or [
        "valid blocks of a protocol that decides are missing"
    ]
    may = "may be better still" if answered else "may satisfy the need"
    yield Suggestion(
        f"{names} {may}: {' and '.join(said)}", _command(run, [candidate for candidate, _ in still_open], protocol)
    )


def _lacks(found: Sequence[Finding], what: str) -> bool:
    return any(finding.lack == what for finding in found)


def _window(run: StoredRun, few: Sequence[Candidate]) -> list[str]:
    """As long as the slowest of them needs for its p99, at the rate at which it was seen to answer. Nothing where
    protocol=publish does that by itself: it asks for so many requests, and waits for them a minute at most."""
    rates = [
        candidate.fewest_requests / max(trial.window_s or 0.0 for trial in candidate.trials)
        for candidate in few
        if candidate.fewest_requests and all(trial.window_s for trial in candidate.trials)
    ]
    if not rates:
        return []
    seconds = math.ceil(MARGIN * needed("p99") / min(rates))
    words = []
    if run.plan.min_requests >= needed("p99"):  # it was asked for so many, and did not get them
        words.append(f"protocol.window_s={seconds}")
    if seconds > PUBLISH_LIMIT_S:
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
        yield Suggestion(
            f"no more than {tenants} tenants shared the device in any measurement", _command(run, [], more)
        )
    level = need.isolation
    enough = [candidate for candidate, _ in weighed if candidate.tenants >= (need.tenants or 1)]
    if not level or any(candidate.separation.reaches(level) for candidate in enough):
        return
    asked = f"isolation {level}" + (f" with {need.tenants} tenants" if need.tenants else "")
    if on_a_gpu:
        layouts = "partitions=[mig_1of7,mig_1of3]" if need.tenants else "partitions=[full,mig_1of7,mig_1of3]"
        yield Suggestion(f"nothing with {asked} was measured", _command(run, [], [layouts]))
    elif level == "medium":
        changes = ["partitions=[cpuset]", "isolation=[container]"]
        if need.tenants and need.tenants > 1:
            changes.insert(1, f"partitions.cpuset.tenants={need.tenants}")
        yield Suggestion(f"nothing with {asked} was measured", _command(run, [], changes))
    else:
        yield Suggestion(f"{asked} does not exist on a CPU that tenants share: give each a machine of its own")


def _command(run: StoredRun, cells: Sequence[Candidate], changes: Sequence[str]) -> str:
    """As the run was asked for, with these changes, and of cells only these and their baseline; without what the record
    tells, the workload and the scenario are named."""
    words = overrides(run)
    if words is None:
        words = [f"workload={run.plan.workload}", f"scenario={run.plan.scenario}"]
    only = [*_only(run, cells), *changes] if cells else list(changes)
    replaced = {word.partition("=")[0].partition(".")[0] for word in only}
    parts = {word.partition("=")[0] for word in only}
    kept = [word for word in words if not _gives_way(word, replaced, parts)]
    folders = run.description.get("config_folders")
    extra = [f for f in folders if isinstance(f, str)][:MOST_WORDS] if isinstance(folders, list) else []
    return shlex.join(["bench", "run", *kept, *only, *(text for f in extra for text in ("--config-dir", f))])


def overrides(run: StoredRun) -> list[str] | None:
    """What the run was asked for; None where the record does not tell, or tells what no command line is."""
    found = run.description.get("overrides")
    if not isinstance(found, list) or len(found) > MOST_WORDS:
        return None
    return found if all(isinstance(word, str) and len(word) <= LONGEST_WORD for word in found) else None


def _gives_way(word: str, replaced: set[str], parts: set[str]) -> bool:
    """An earlier run's word for the same thing, its seed, and what belongs to its protocol."""
    key = word.partition("=")[0].lstrip("+~")
    group = key.partition(".")[0]
    if (
        key in parts
        or group == "seed"
        or (key == "isolation" and "optimizations" in parts)
        or (group in ("only", "neighbours") and "partitions" in parts)
    ):
        return True
    return group == "protocol" and "protocol" in replaced


def _only(run: StoredRun, cells: Sequence[Candidate]) -> list[str]:
    """The brackets that name just these cells, and the baseline, of each division."""
    wanted: dict[str, set[str]] = {}
    for candidate in cells:
        wanted.setdefault(candidate.division, {run.plan.baseline}).add(candidate.optimization)
    everything = sorted(set().union(*wanted.values()))
    words = [f"partitions=[{','.join(sorted(wanted))}]", f"optimizations=[{','.join(everything)}]"]
    isolations = sorted({candidate.isolation for candidate in cells})
    if isolations != [PROCESS]:
        words.append(f"isolation=[{','.join(isolations)}]")
    return words + [
        f"only.{division}=[{','.join(sorted(names))}]"
        for division, names in sorted(wanted.items())
        if sorted(names) != everything
    ]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
