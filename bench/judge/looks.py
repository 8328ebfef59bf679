"""After a look: which verdicts are still open, and what has to be measured again to close them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.claims import Claim
from bench.judge.evidence import RunEvidence
from bench.judge.verdicts import is_open, judge_run
from bench.stored import StoredRun


@dataclass(frozen=True)
class NextLook:
    """Measure `cells` (partition -> optimizations) until there are `blocks` in all; `open` verdicts wait for it."""

    blocks: int
    cells: Mapping[str, tuple[str, ...]]
    open: int


def next_look(run: StoredRun, claims: Mapping[str, Claim]) -> NextLook | None:
    """None when every verdict that blocks can decide is decided, or the last look has been taken.

    Only the cells that an open verdict rests on go on: treatment, baseline, both alone where neighbours are judged, and
    the baseline's second measurement."""
    evidence, plan = RunEvidence(run), run.plan
    later = [look for look in plan.looks if look > plan.blocks]
    contrasts = evidence.contrasts.of(claims)
    left = [
        contrast
        for contrast, verdict in zip(contrasts, judge_run(evidence, claims), strict=True)
        if is_open(verdict, plan)
    ]
    if not later or not left:
        return None
    cells: dict[str, set[str]] = {}
    for contrast in left:
        for partition, optimization in contrast.cells:
            cells.setdefault(partition, {plan.baseline, *filter(None, [plan.again])}).add(optimization)
    return NextLook(later[0], {name: tuple(sorted(names)) for name, names in sorted(cells.items())}, len(left))
