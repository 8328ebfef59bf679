"""A run against runs of other times: matched by what was measured, with how runs vary from day to day. Pure.

Series that the base runs have and the candidate has not are open, by name; what only the candidate has is a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.judge.compare import wording
from bench.judge.compare.comparison import FEWEST, Comparison, Decision, Metric, Obstacle, Outcome, Series, Test, decide
from bench.judge.compare.day_to_day import Apart, Sample, apart
from bench.judge.compare.matched import Part, batches_of, names, parts_of, tells, unlike
from bench.judge.compare.points import points_lost
from bench.judge.compare.wording import percent
from bench.judge.differences import Difference, differences
from bench.judge.metrics import P99, tail_needs
from bench.judge.speedup import LEVEL
from bench.records import ALL, Thresholds
from bench.stored import StoredRun


def across(
    base: Sequence[StoredRun],
    candidate: Sequence[StoredRun],
    overrides: Mapping[str, float | None] | None = None,
    day_to_day: float | None = None,
) -> Comparison:
    """`base` and `candidate`: measured, on the same devices. `overrides`: thresholds in place of those of the
    candidate's plans. `day_to_day`: how much runs of the same thing differ, as a share (standard deviation)."""
    found = _Across(base, candidate, overrides or {}, day_to_day)
    return Comparison(
        names(base), names(candidate), list(found.outcomes()), list(found.notes()), list(_differs(base, candidate))
    )


@dataclass
class Matched:
    """A series, and the runs that planned it on each side."""

    base: list[Part] = field(default_factory=list)
    candidate: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """A series and metric that is to be judged, with the runs that count."""

    series: Series
    metric: Metric
    threshold: float
    base: Sequence[Part]
    candidate: Sequence[Part]
    obstacle: Obstacle | None
    found: Apart | None


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
        self._matched: dict[Series, Matched] = {}
        for run in base:
            for series, part in parts_of(run):
                self._matched.setdefault(series, Matched()).base.append(part)
        for run in candidate:
            for series, part in parts_of(run):
                self._matched.setdefault(series, Matched()).candidate.append(part)

    def outcomes(self) -> Iterator[Outcome]:
        """Alarms are corrected for the whole table."""
        both = {series: found for series, found in self._matched.items() if found.base and found.candidate}
        asked = [one for series, found in both.items() for one in self._asked(series, found)]
        margins = [
            Test(one.found.shift if one.found else None, math.log1p(one.threshold), one.obstacle) for one in asked
        ]
        for one, decision in zip(asked, decide(margins, LEVEL), strict=True):
            yield self._outcome(one, decision)
        for series, found in both.items():
            yield from self._points(series, found)
        for series, found in self._matched.items():
            if not found.candidate:
                yield self._unmeasured(series, found)

    def notes(self) -> Iterator[str]:
        for series, found in self._matched.items():
            if not found.base:
                yield f"only the candidate measured {series}"
            elif found.candidate:
                for side in (self._alike(found), found.candidate):
                    if any(not part.obstacle for part in side):  # otherwise the outcome says why
                        left_out = (part for part in side if part.obstacle)
                        yield from (f"left out: {series} of {part.run.name}: {part.obstacle}" for part in left_out)
                for one in self._asked(series, found):
                    if one.found and one.found.doubted:
                        yield f"the base runs of {series} differ by more than --day-to-day says, in {one.metric}"
        if any(run.plan.against for run in self._candidates):
            yield "of runs that were measured with --against only the newer version is compared here"

    # --- inside ---

    def _thresholds(self, part: Part) -> Thresholds:
        return part.run.plan.thresholds.model_copy(update=dict(self._overrides))

    def _alike(self, found: Matched) -> list[Part]:
        """Base runs, those that measured something else than the candidate with the reason."""
        batches, tenants = batches_of(found.candidate), {part.tenants for part in found.candidate}
        return [unlike(part, batches, tenants) for part in found.base]

    def _counted(self, found: Matched) -> list[Part]:
        return [part for part in self._alike(found) if not part.obstacle] if found.candidate else []

    def _asked(self, series: Series, found: Matched) -> Iterator[Asked]:
        first = found.candidate[0]
        base, candidate = self._counted(found), [part for part in found.candidate if not part.obstacle]
        for metric in (first.run.plan.measures, "p99", "energy"):
            threshold: float | None = getattr(self._thresholds(first), metric)
            if threshold is None or not tells(metric, first.run, base, candidate):
                continue
            obstacle = self._obstacle(found, base, candidate, metric)
            told = None if obstacle else apart(_samples(base, metric), _samples(candidate, metric), self._day_to_day)
            yield Asked(series, metric, threshold, base, candidate, obstacle, told)

    def _obstacle(
        self, found: Matched, base: Sequence[Part], candidate: Sequence[Part], metric: Metric
    ) -> Obstacle | None:
        if not candidate:
            return Obstacle(f"candidate: {found.candidate[0].obstacle}")
        if not base:
            return Obstacle(f"base: {self._alike(found)[0].obstacle}")
        if len(batches := sorted(batches_of(candidate))) > 1:
            return Obstacle(f"the candidate took batches of {' and '.join(map(str, batches))} items")
        if metric == "p99":
            fewest = min(part.fewest_requests() for part in (*base, *candidate))
            if fewest < tail_needs(P99):
                return Obstacle(f"a p99 needs {tail_needs(P99)} requests in each process, and one trial had {fewest}")
        if any(len(part.logs(metric)) < FEWEST for part in (*base, *candidate)):
            return Obstacle(f"fewer than {FEWEST} valid blocks tell it")
        return None

    def _outcome(self, asked: Asked, decision: Decision) -> Outcome:
        more, told = None, asked.found
        if asked.obstacle or told is None:
            reason = asked.obstacle.reason if asked.obstacle else "not measured"
        elif decision.word != "not_enough_evidence":
            reason = wording.decided(decision, told.shift, asked.threshold, asked.metric)
        else:
            units = min(len(asked.base), len(asked.candidate))
            margin, sd = math.log1p(asked.threshold), told.run_sd * math.sqrt(2)
            more = wording.more_pairs(told.shift.mean, sd, units, margin, decision, LEVEL)
            needs = wording.needs(more, "run", each_side=True)
            reason = wording.undecided(told.shift, LEVEL, asked.threshold, asked.metric, needs)
        return Outcome(
            asked.series,
            asked.metric,
            decision.word,
            reason,
            asked.threshold,
            names([part.run for part in asked.base]),
            names([part.run for part in asked.candidate]),
            ratio=told.shift.speed_up(len(asked.base)) if told else None,
            slow_down=wording.share(told.shift.mean) if told else None,
            unit="run",
            base_units=len(asked.base),
            candidate_units=len(asked.candidate),
            more=more,
            assumed="" if told is None or told.tau is None else self._assumption(told.tau),
        )

    def _assumption(self, tau: float) -> str:
        says = "which nobody measured" if self._day_to_day is None else "as --day-to-day says"
        return (
            f"runs of the same thing differ by {percent(tau)} from day to day (standard deviation), {says}; "
            "three or more BASE runs would measure it, and `bench run --against` needs no such assumption"
        )

    def _points(self, series: Series, found: Matched) -> Iterator[Outcome]:
        threshold = self._thresholds(found.candidate[0]).quality
        # Accuracy has no spread from run to run: that of the last base run is what the candidate is held to.
        base = found.base[-1]
        after = [trial for part in found.candidate for trial in part.trials]
        if threshold is not None and (points := points_lost(base.trials, after, threshold)):
            yield Outcome(
                series,
                "quality",
                points.word,
                points.reason,
                threshold,
                base.run.name,
                names([part.run for part in found.candidate]),
                slow_down=points.lost,
                unit="run",
                base_units=1,
                candidate_units=len(found.candidate),
            )

    def _unmeasured(self, series: Series, found: Matched) -> Outcome:
        plan = found.base[0].run.plan
        threshold: float | None = getattr(self._thresholds(found.base[0]), plan.measures)
        return Outcome(
            series,
            plan.measures,
            "not_enough_evidence",
            f"the candidate did not measure it: {self._why_not(series)}",
            threshold,
            names([part.run for part in found.base]),
            names(self._candidates),
            unit="run",
            base_units=len(found.base),
        )

    def _why_not(self, series: Series) -> str:
        for run in self._candidates:
            if (run.plan.workload, run.plan.scenario) != (series.workload, series.scenario):
                continue
            for item in run.plan.infeasible:
                here = item.partition in (ALL, series.partition) and item.optimization in (ALL, series.optimization)
                if here and not item.telemetry:
                    return f"infeasible: {item.reason}"
        return "it was not planned"


def _samples(parts: Sequence[Part], metric: Metric) -> list[Sample]:
    return [Sample.of(part.logs(metric)) for part in parts]


def _differs(base: Sequence[StoredRun], candidate: Sequence[StoredRun]) -> Iterator[Difference]:
    """From the last base run of each workload and scenario to the first candidate of it; each difference once."""
    told: set[str] = set()
    for run in candidate:
        alike = [b for b in base if (b.plan.workload, b.plan.scenario) == (run.plan.workload, run.plan.scenario)]
        for found in differences(alike[-1].description, run.description) if alike else ():
            if str(found) not in told:
                told.add(str(found))
                yield found
