"""Two versions that were measured in the same blocks of one run (`bench run --against`): paired, look by look. Pure.

As with verdicts on claims, an outcome that was drawn at a look stands, and later blocks are measured for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.judge import reasons
from bench.judge.compare import wording
from bench.judge.compare.comparison import (
    FEWEST,
    Comparison,
    Decision,
    Obstacle,
    Outcome,
    Shift,
    Test,
    Word,
    decide,
)
from bench.judge.compare.lost import by_side
from bench.judge.compare.paired_costs import Asked, PairedCosts
from bench.judge.compare.points import points_lost
from bench.judge.compare.sides import Sided
from bench.judge.compare.versions import version_differences, version_words
from bench.judge.evidence import Pairs, RunEvidence
from bench.judge.looks import NextLook
from bench.judge.series import Series
from bench.judge.speedup import Cell
from bench.judge.statistics import Paired
from bench.judge.untold import without_blocks
from bench.records import PROCESS, Plan, Thresholds
from bench.stored import StoredRun

THIS = "this version"
"""What is measured in plain processes."""


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
        self._sided = Sided(run.plan)
        self._costs = PairedCosts(self._evidence, self._sided)

    def outcomes(self) -> Mapping[Asked, Outcome]:
        """Of all that blocks decide."""
        asked = list(self._asked())
        level = self._plan.look_level or 0.0  # a plan that has looks has a level
        looks = [] if without_blocks(self._plan) else self._evidence.complete_looks()
        drawn: dict[Asked, Outcome] = {}
        alarms = 0
        for look in looks:
            left = [one for one in asked if one not in drawn]
            pairs = [self._costs.pairs(one, look) for one in left]
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
        for sides in self._sided.both:
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
        threshold: float | None = getattr(self._thresholds, self._plan.measures)
        for lacking in self._sided.without_candidate():
            reason = f"the candidate did not measure it: {lacking.reason}"
            named = threshold, lacking.isolation, lacking.counterpart
            yield Outcome(self._series(lacking.cell), self._plan.measures, "not_enough_evidence", reason, *named)

    def notes(self) -> Iterator[str]:
        """What was measured or asked for, and is not compared."""
        for sides in self._sided.both:
            partition, optimization = sides.candidate
            if said := by_side(*self._costs.losses(sides)):
                yield f"{optimization} on {partition}: {said}"
        for asked in self._asked():
            partition, optimization = asked.sides.candidate
            yield from (f"{optimization} on {partition}: {gap}" for gap in self._costs.gaps(asked))
        for lacking in self._sided.without_base():
            partition, optimization = lacking.cell
            yield f"only the candidate measured {optimization} on {partition}; the base did not: {lacking.reason}"
        for item in self._plan.infeasible:
            if not item.telemetry:
                yield f"infeasible: {item}"

    # --- inside ---

    def _asked(self) -> Iterator[Asked]:
        for sides in self._sided.both:
            for metric in (self._plan.measures, "p99", "energy"):
                threshold: float | None = getattr(self._thresholds, metric)
                if threshold is not None and self._costs.asks(sides, metric):
                    yield Asked(sides, metric, threshold)

    def _test(self, asked: Asked, pairs: Pairs, look: int) -> Test:
        shift = Shift.of(pairs.paired) if pairs.paired else None
        return Test(shift, asked.margin, self._costs.obstacle(asked, pairs, look))

    def _outcome(self, asked: Asked, pairs: Pairs, test: Test, decision: Decision, level: float) -> Outcome:
        shift, more = test.shift, None
        if test.obstacle or shift is None:
            obstacle = test.obstacle or Obstacle("no pair of valid blocks", FEWEST)
            reason, more = obstacle.reason, obstacle.more
        elif decision.word != "not_enough_evidence":
            reason = wording.decided(decision, shift, asked.threshold, asked.metric)
        else:
            paired = Paired.of(list(pairs.differences.values()))
            more = wording.more_pairs(paired.mean, paired.sd, paired.pairs, asked.margin, decision, level)
            needs = wording.needs(more, "block")
            reason = wording.undecided(shift, level, asked.threshold, asked.metric, needs)
        return self._told(asked, pairs, decision.word, reason, pairs.last_block, more)

    def _unjudged(self, asked: Asked) -> Outcome:
        """No look was complete: the numbers are shown, and nothing is said."""
        pairs = self._costs.pairs(asked, self._plan.blocks)
        reason = without_blocks(self._plan) or reasons.no_look(self._plan, len(pairs.differences))
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
            slow_down=wording.share(shift.mean) if shift else None,
            base_units=count, candidate_units=count, blocks=blocks, more=more,
        )  # fmt: skip

    def _series(self, cell: Cell) -> Series:
        return Series(self._plan.device, self._plan.workload, self._plan.scenario, *cell)
