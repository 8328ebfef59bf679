"""Whether a candidate satisfies a need, goal by goal, in words with their numbers. Pure.

What is uncertain is not satisfied: the unfavourable end of the interval has to reach the goal. The more cells are put
to the goals, the more of them would pass by chance; so intervals are those of 95 % for all of them at once. Where the
evidence on a cell is too little, none of its numbers is put to a goal; what follows from how it is laid out still is.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mode

from bench.judge.compare.comparison import FEWEST
from bench.judge.recommend.candidates import Candidate
from bench.judge.recommend.finding import Finding
from bench.judge.recommend.goals import measured
from bench.judge.recommend.laid_out import laid_out
from bench.judge.recommend.need import Need
from bench.judge.untold import source, without_blocks
from bench.judge.verdicts import LOST_LIMIT


def is_put_to_goals(candidate: Candidate, need: Need) -> bool:
    """Whether it depends on what was measured whether it satisfies."""
    fails = any(finding.outcome == "unmet" for finding in laid_out(candidate, need))
    return not fails and not any(_gaps(candidate))


def findings(candidate: Candidate, need: Need, judged: int = 1) -> list[Finding]:
    """Of every goal that the need names, and of the evidence; what is laid out comes first. judged: how many
    candidates are put to the goals at once."""
    found = [*laid_out(candidate, need)]
    gaps = [*_gaps(candidate)]
    return [*found, *gaps] if gaps else [*found, *measured(candidate, need, max(1, judged))]


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
