"""Two versions that were measured in the same blocks of one run (`bench run --against`): paired, look by look. Pure.

As with verdicts on claims, an outcome that was drawn at a look stands, and later blocks are measured for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.judge import comparison_reasons, reasons
from bench.judge.comparison import (
    FEWEST,
    Comparison,
    Decision,
    Metric,
    Obstacle,
    Outcome,
    Series,
    Shift,
    Test,
    Word,
    cost,
    decide,
)
from bench.judge.contrasts import Contrast
from bench.judge.evidence import Pairs, RunEvidence
from bench.judge.looks import NextLook
from bench.judge.lost import lost_blocks
from bench.judge.metrics import P99, tail_needs
from bench.judge.points import points_lost
from bench.judge.speedup import Cell
from bench.judge.statistics import Paired
from bench.judge.versions import version_differences, version_words
from bench.records import ALL, PROCESS, Plan, PlannedTrial, Thresholds
from bench.stored import StoredRun

THIS = "this version"
"""What is measured in plain processes."""


@dataclass(frozen=True)
class Sides:
    """One series: the cell of the candidate, and that of the base version, which differs in its isolation alone."""

    candidate: Cell
    base: Cell
    isolation: str
    base_isolation: str


@dataclass(frozen=True)
class Asked:
    """A series, and a metric by which it is compared."""

    sides: Sides
    metric: Metric
    threshold: float

    @property
    def contrast(self) -> Contrast:
        """Of what all metrics need: blocks in which both sides are valid."""
        metric = self.metric if self.metric in ("p99", "start_up") else "throughput"
        return Contrast("", "claimed", self.sides.candidate, self.sides.base, metric)

    @property
    def margin(self) -> float:
        return math.log1p(self.threshold)


def within(run: StoredRun, thresholds: Thresholds | None = None) -> Comparison:
    """The versions that the run's plan sets against each other. `thresholds`: default those of the plan."""
    found = _Within(run, thresholds or run.plan.thresholds)
    bases = [[trial for trial in run.trials if trial.isolation == name] for name in run.plan.against]
    named = zip(run.plan.against, bases, strict=True)
    newer = [THIS if name == PROCESS else name for name in dict.fromkeys(run.plan.against.values())]
    return Comparison(
        ", ".join(version_words(trials) or name for name, trials in named),
        ", ".join(newer),
        [*found.outcomes().values(), *found.points(), *found.unmeasured()],
        list(found.notes()),
        [item for trials in bases for item in version_differences(trials, run.description)],
    )


def next_look(run: StoredRun) -> NextLook | None:
    """The blocks and cells of both sides that series need which are not decided; None when there are none that blocks
    can decide, or the last look has been taken."""
    plan = run.plan
    later = [look for look in plan.looks if look > plan.blocks]
    outcomes = _Within(run, plan.thresholds).outcomes()
    left = [asked for asked, outcome in outcomes.items() if is_open(outcome, plan)]
    if not later or not left:
        return None
    cells: dict[str, set[str]] = {}
    for asked in left:
        for partition, optimization in asked.contrast.cells:
            cells.setdefault(partition, set()).add(optimization)
    return NextLook(later[0], {name: tuple(sorted(names)) for name, names in sorted(cells.items())}, len(left))


def is_open(outcome: Outcome, plan: Plan) -> bool:
    """Whether more blocks may decide it: not yet at the last look, and it is blocks that are missing."""
    if outcome.outcome != "not_enough_evidence" or outcome.blocks is None or outcome.more is None:
        return False
    return bool(plan.looks) and outcome.blocks < plan.looks[-1]


class _Within:
    """One run that has versions to compare, indexed once."""

    def __init__(self, run: StoredRun, thresholds: Thresholds) -> None:
        self._evidence = RunEvidence(run)
        self._plan = run.plan
        self._thresholds = thresholds
        self._parts = {trial.partition: trial for trial in run.plan.trials}
        self._cells = sorted({(trial.partition, trial.optimization) for trial in run.plan.trials})
        self._sides = list(self._matched())

    def outcomes(self) -> Mapping[Asked, Outcome]:
        """Of all that blocks decide."""
        asked = list(self._asked())
        level = self._plan.look_level or 0.0  # a plan that has looks has a level
        looks = [] if self._strange() else self._evidence.complete_looks()
        drawn: dict[Asked, Outcome] = {}
        alarms = 0
        for look in looks:
            left = [one for one in asked if one not in drawn]
            pairs = [self._pairs(one, look) for one in left]
            tests = [self._test(one, found, look) for one, found in zip(left, pairs, strict=True)]
            decisions = decide(tests, level, len(asked), closed=len(drawn) - alarms)
            for one, found, test, decision in zip(left, pairs, tests, decisions, strict=True):
                if decision.word != "not_enough_evidence" or look == looks[-1]:
                    drawn[one] = self._outcome(one, found, test, decision, level)
                    alarms += decision.alarm
        return {one: drawn.get(one) or self._unjudged(one) for one in asked}

    def points(self) -> list[Outcome]:
        """Accuracy, which blocks do not decide: it is the same in each of them."""
        threshold = self._thresholds.quality
        if threshold is None:
            return []
        found = []
        for sides in self._sides:
            base, candidate = (self._evidence.trials_of(cell) for cell in (sides.base, sides.candidate))
            points = points_lost(base, candidate, threshold)
            if points:
                named = sides.base_isolation, sides.isolation
                series = self._series(sides.candidate)
                found.append(
                    Outcome(series, "quality", points.word, points.reason, threshold, *named, slow_down=points.lost)
                )
        return found

    def unmeasured(self) -> Iterator[Outcome]:
        """Series of the base version that the candidate was not even planned to measure."""
        matched = {sides.base for sides in self._sides}
        threshold: float | None = getattr(self._thresholds, self._plan.measures)
        for cell in self._cells:
            part = self._parts[cell[0]]
            if part.isolation in self._plan.against and cell not in matched and cell[1] != self._plan.again:
                candidate = self._plan.against[part.isolation]
                why = self._why_not(part, cell[1], candidate)
                yield Outcome(
                    self._series(cell), self._plan.measures, "not_enough_evidence",
                    f"the candidate did not measure it: {why}", threshold, part.isolation, candidate,
                )  # fmt: skip

    def notes(self) -> Iterator[str]:
        """What was measured or asked for, and is not compared."""
        matched = {sides.candidate for sides in self._sides}
        origins = {candidate: base for base, candidate in self._plan.against.items()}
        for cell in self._cells:
            part = self._parts[cell[0]]
            if part.isolation in origins and cell not in matched and cell[1] != self._plan.again:
                why = self._why_not(part, cell[1], origins[part.isolation])
                yield f"only the candidate measured {cell[1]} on {cell[0]}; the base did not: {why}"
        for item in self._plan.infeasible:
            if not item.telemetry:
                yield f"infeasible: {item}"

    # --- inside ---

    def _matched(self) -> Iterator[Sides]:
        """Each cell of the candidate that has one of the base version."""
        names = {(part.division, part.isolation, part.neighbours): name for name, part in self._parts.items()}
        for base_isolation, isolation in self._plan.against.items():
            for partition, optimization in self._cells:
                part = self._parts[partition]
                if part.isolation != isolation or optimization == self._plan.again:
                    continue
                base = (names.get((part.division, base_isolation, part.neighbours), ""), optimization)
                if base in self._cells:
                    yield Sides((partition, optimization), base, isolation, base_isolation)

    def _asked(self) -> Iterator[Asked]:
        for sides in self._sides:
            for metric in (self._plan.measures, "p99", "energy"):
                threshold: float | None = getattr(self._thresholds, metric)
                if threshold is not None:
                    asked = Asked(sides, metric, threshold)
                    if self._tells(asked):
                        yield asked

    def _tells(self, asked: Asked) -> bool:
        """Whether the run measures that, all through. What it was planned to measure is asked for in any case."""
        if asked.metric == "p99":
            if self._plan.measures == "start_up":
                return False
            fewest = self._evidence.fewest_requests(asked.contrast, self._plan.blocks)
            equal = len(self._evidence.batch_sizes(asked.contrast)) == 1
            return self._plan.min_requests >= tail_needs(P99) or (equal and fewest >= tail_needs(P99))
        if asked.metric == "energy":
            possible = len(self._evidence.pairs(asked.contrast, self._plan.blocks).differences)
            told = len(self._pairs(asked, self._plan.blocks).differences)
            return told > 0 and lost_blocks(["no energy"] * (possible - told), possible) is None
        return True

    def _pairs(self, asked: Asked, blocks: int) -> Pairs:
        """Slow-downs by block."""
        found = self._evidence.pairs(asked.contrast, blocks)
        if asked.metric != "energy":
            return Pairs({block: -speed_up for block, speed_up in found.differences.items()}, found.lost)
        candidate, base = (self._energies(cell) for cell in asked.contrast.cells)
        both = [block for block in found.differences if block in candidate and block in base]
        return Pairs({block: candidate[block] - base[block] for block in both}, found.lost)

    def _energies(self, cell: Cell) -> dict[int, float]:
        trials = self._evidence.trials_of(cell)
        return {trial.block: found for trial in trials if (found := cost(trial, "energy")) is not None}

    def _test(self, asked: Asked, pairs: Pairs, look: int) -> Test:
        shift = Shift.of(pairs.paired) if pairs.paired else None
        return Test(shift, asked.margin, self._obstacle(asked, pairs, look))

    def _obstacle(self, asked: Asked, pairs: Pairs, look: int) -> Obstacle | None:
        found = lost_blocks(list(pairs.lost.values()), len(pairs.lost) + len(pairs.differences))
        if found:
            return found
        if len(pairs.differences) < FEWEST:
            count = len(pairs.differences)
            return Obstacle(f"{count} valid pairs of blocks, and {FEWEST} are the least", FEWEST - count)
        if asked.metric == "p99":
            needs, fewest = tail_needs(P99), self._evidence.fewest_requests(asked.contrast, look)
            if fewest < needs:  # leaving out the trials with too few would leave out the slow ones
                return Obstacle(f"a p99 needs {needs} requests in each process, and one trial had {fewest}")
            if len(sizes := sorted(self._evidence.batch_sizes(asked.contrast))) > 1:
                return Obstacle(f"p99 of requests of {' and '.join(map(str, sizes))} items: only equal ones compare")
        ours, theirs = (self._parts[cell[0]].tenants for cell in asked.contrast.cells)
        return Obstacle(f"{ours} tenants against {theirs}") if ours != theirs else None

    def _outcome(self, asked: Asked, pairs: Pairs, test: Test, decision: Decision, level: float) -> Outcome:
        shift, more = test.shift, None
        if test.obstacle or shift is None:
            obstacle = test.obstacle or Obstacle("no pair of valid blocks", FEWEST)
            reason, more = obstacle.reason, obstacle.more
        elif decision.word != "not_enough_evidence":
            reason = comparison_reasons.decided(decision, shift, asked.threshold, asked.metric)
        else:
            paired = Paired.of(list(pairs.differences.values()))
            more = comparison_reasons.more_pairs(paired.mean, paired.sd, paired.pairs, asked.margin, decision, level)
            needs = comparison_reasons.needs(more, "block")
            reason = comparison_reasons.undecided(shift, level, asked.threshold, asked.metric, needs)
        return self._told(asked, pairs, decision.word, reason, pairs.last_block, more)

    def _unjudged(self, asked: Asked) -> Outcome:
        """No look was complete: the numbers are shown, and nothing is said."""
        pairs = self._pairs(asked, self._plan.blocks)
        reason = self._strange() or reasons.no_look(self._plan, len(pairs.differences))
        return self._told(asked, pairs, "not_enough_evidence", reason, None, None)

    def _told(
        self, asked: Asked, pairs: Pairs, word: Word, reason: str, blocks: int | None, more: int | None
    ) -> Outcome:
        shift = Shift.of(pairs.paired) if pairs.paired else None
        count = len(pairs.differences)
        return Outcome(
            self._series(asked.sides.candidate), asked.metric, word, reason, asked.threshold,
            asked.sides.base_isolation, asked.sides.isolation,
            ratio=shift.speed_up(count) if shift else None,
            slow_down=comparison_reasons.share(shift.mean) if shift else None,
            base_units=count, candidate_units=count, blocks=blocks, more=more,
        )  # fmt: skip

    def _series(self, cell: Cell) -> Series:
        return Series(self._plan.device, self._plan.workload, self._plan.scenario, *cell)

    def _strange(self) -> str | None:
        imported = self._plan.imported
        if imported and "blocks" in imported.missing:
            return f"measured by {imported.tool}, which has no blocks"
        return None

    def _why_not(self, part: PlannedTrial, optimization: str, isolation: str) -> str:
        for item in self._plan.infeasible:
            here = item.partition == ALL or (item.division, item.isolation) == (part.division, isolation)
            if here and not item.telemetry and item.optimization in (ALL, optimization):
                return f"infeasible: {item.reason}"
        return "it was not planned"
