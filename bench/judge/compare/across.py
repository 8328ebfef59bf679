"""A run against runs of other times: matched by what was measured, with how runs vary from day to day. Pure.

Series that the base runs have and the candidate has not are open, by name; what only the candidate has is a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from bench.judge.compare import wording
from bench.judge.compare.comparison import Comparison, Decision, Outcome, Test, decide
from bench.judge.compare.days import by_time, days
from bench.judge.compare.lacking import why_not
from bench.judge.compare.lost import Losses, by_side
from bench.judge.compare.matched import Matched, Part, names, parts_of
from bench.judge.compare.points import Points, points_lost, tells_accuracy
from bench.judge.compare.run_costs import Asked, asked
from bench.judge.compare.wording import percent
from bench.judge.differences import Difference, differences
from bench.judge.series import Series
from bench.judge.speedup import LEVEL
from bench.records import ALL, Thresholds
from bench.stored import StoredRun

SIDES = "base", "candidate"
ONE_DAY = "those that begin within six hours of each other share a day's deviation, and count as one"


def across(
    base: Sequence[StoredRun],
    candidate: Sequence[StoredRun],
    overrides: Mapping[str, float | None] | None = None,
    day_to_day: float | None = None,
) -> Comparison:
    """`base` and `candidate`: measured, on the same devices. `overrides`: thresholds in place of those of the
    candidate's plans. `day_to_day`: how much days differ for the same thing, as a share (standard deviation)."""
    base, candidate = by_time(base), by_time(candidate)
    found = _Across(base, candidate, overrides or {}, day_to_day)
    return Comparison(
        names(base), names(candidate), list(found.outcomes()), list(found.notes()), list(_differs(base, candidate))
    )


class _Across:
    """All runs of both sides, indexed once."""

    def __init__(
        self,
        base: Sequence[StoredRun],
        candidate: Sequence[StoredRun],
        overrides: Mapping[str, float | None],
        day_to_day: float | None,
    ) -> None:
        self._overrides = overrides
        self._day_to_day = day_to_day
        self._candidates = candidate
        planned: dict[Series, Matched] = {}
        for run in base:
            for series, part in parts_of(run):
                planned.setdefault(series, Matched()).base.append(part)
        for run in candidate:
            for series, part in parts_of(run):
                planned.setdefault(series, Matched()).candidate.append(part)
        self._both = {series: found.compared() for series, found in planned.items() if found.base and found.candidate}
        self._base_alone = {series: found.base for series, found in planned.items() if not found.candidate}
        self._candidate_alone = [series for series, found in planned.items() if not found.base]

    def outcomes(self) -> Iterator[Outcome]:
        """Alarms are corrected for the whole table."""
        margins = [
            Test(one.found.shift if one.found else None, math.log1p(one.threshold), one.obstacle) for one in self._asked
        ]
        for one, decision in zip(self._asked, decide(margins, LEVEL), strict=True):
            yield self._outcome(one, decision)
        for series, found in self._both.items():
            yield from self._points(series, found)
        for series, base in self._base_alone.items():
            yield self._unmeasured(series, base)

    def notes(self) -> Iterator[str]:
        """Each once."""
        yield from dict.fromkeys(self._notes())

    # --- inside ---

    def _notes(self) -> Iterator[str]:
        for series in self._candidate_alone:
            yield f"only the candidate measured {series}"
        for series, found in self._both.items():
            for side, counted, name in zip((found.base, found.candidate), found.counted(), SIDES, strict=True):
                if counted:  # otherwise the outcome says why
                    left_out = (part for part in side if part.obstacle)
                    yield from (f"left out: {series} of {part.run.name}: {part.obstacle}" for part in left_out)
                if len(counted) > (of := len(days(counted))):
                    yield f"{len(counted)} {name} runs are of {of} {'day' if of == 1 else 'days'}: {ONE_DAY}"
            base, candidate = (Losses.together([part.losses for part in side]) for side in found.counted())
            if said := by_side(candidate, base):
                yield f"{series}: {said}"
        for one in self._asked:
            told = {part.run.folder for day in one.base for part in day}
            for part in self._both[one.series].counted()[0]:
                if part.run.folder not in told:
                    yield f"left out: {one.metric} of {one.series} of {part.run.name}, which does not tell it"
            if one.found and one.found.doubted:
                yield f"the base runs of {one.series} differ by more than --day-to-day says, in {one.metric}"
        if any(run.plan.against for run in self._candidates):
            yield "of runs that were measured with --against only the newer version is compared here"

    def _thresholds(self, part: Part) -> Thresholds:
        return part.run.plan.thresholds.model_copy(update=dict(self._overrides))

    @cached_property
    def _asked(self) -> list[Asked]:
        return [
            one
            for series, found in self._both.items()
            for one in asked(series, found, self._thresholds(found.candidate[0]), self._day_to_day)
        ]

    def _outcome(self, one: Asked, decision: Decision) -> Outcome:
        more, told = None, one.found
        if one.obstacle or told is None:
            reason = one.obstacle.reason if one.obstacle else "not measured"
        elif decision.word != "not_enough_evidence":
            reason = wording.decided(decision, told.shift, one.threshold, one.metric)
        else:
            units = min(len(one.base), len(one.candidate))
            margin, sd = math.log1p(one.threshold), told.day_sd * math.sqrt(2)
            more = wording.more_pairs(told.shift.mean, sd, units, margin, decision, LEVEL)
            needs = wording.needs(more, "day", each_side=True)
            reason = wording.undecided(told.shift, LEVEL, one.threshold, one.metric, needs)
        return Outcome(
            one.series,
            one.metric,
            decision.word,
            reason,
            one.threshold,
            names([part.run for day in one.base for part in day]),
            names([part.run for day in one.candidate for part in day]),
            ratio=told.shift.speed_up(len(one.base)) if told else None,
            slow_down=wording.share(told.shift.mean) if told else None,
            unit="day",
            base_units=len(one.base),
            candidate_units=len(one.candidate),
            more=more,
            assumed="" if told is None or told.tau is None else self._assumption(told.tau),
        )

    def _assumption(self, tau: float) -> str:
        says = "which nobody measured" if self._day_to_day is None else "as --day-to-day says"
        return (
            f"runs of the same thing differ by {percent(tau)} from day to day (standard deviation), {says}; "
            "BASE runs of three or more days would measure it, and `bench run --against` needs no such assumption"
        )

    def _points(self, series: Series, found: Matched) -> Iterator[Outcome]:
        threshold = self._thresholds(found.candidate[0]).quality
        before = [part for part in found.base if tells_accuracy(part.trials)]
        if threshold is None or not before:
            return
        base, candidate = found.counted()
        # Accuracy has no spread from run to run: that of the last base run that counts is what is held against.
        last = next((part for part in reversed(base) if tells_accuracy(part.trials)), None)
        after = [trial for part in candidate for trial in part.trials]
        points: Points | None
        if obstacle := found.uncounted():
            points = Points("not_enough_evidence", obstacle.reason)
        elif last is None:
            points = Points("not_enough_evidence", f"base: {before[-1].obstacle}")
        else:
            points = points_lost(last.trials, after, threshold)
        if points:
            yield Outcome(
                series,
                "quality",
                points.word,
                points.reason,
                threshold,
                (last or before[-1]).run.name,
                names([part.run for part in candidate or found.candidate]),
                slow_down=points.lost,
                unit="day",
            )

    def _unmeasured(self, series: Series, base: Sequence[Part]) -> Outcome:
        plan = base[-1].run.plan
        threshold: float | None = getattr(self._thresholds(base[-1]), plan.measures)
        return Outcome(
            series,
            plan.measures,
            "not_enough_evidence",
            f"the candidate did not measure it: {self._why_not(series)}",
            threshold,
            names([part.run for part in base]),
            names(self._candidates),
            unit="day",
            base_units=len(days(base)),
        )

    def _why_not(self, series: Series) -> str:
        return why_not(
            item
            for run in self._candidates
            if (run.plan.workload, run.plan.scenario) == (series.workload, series.scenario)
            for item in run.plan.infeasible
            if item.partition in (ALL, series.partition) and item.optimization in (ALL, series.optimization)
        )


def _differs(base: Sequence[StoredRun], candidate: Sequence[StoredRun]) -> Iterator[Difference]:
    """From the last base run of each workload and scenario to the first candidate of it; each difference once."""
    told: set[str] = set()
    for run in candidate:
        alike = [b for b in base if (b.plan.workload, b.plan.scenario) == (run.plan.workload, run.plan.scenario)]
        for found in differences(alike[-1].description, run.description) if alike else ():
            if str(found) not in told:
                told.add(str(found))
                yield found
