"""How speeds went over many runs: one series for each device x workload x scenario x cell x metric. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from bench.judge.compare.comparison import FEWEST
from bench.judge.differences import Difference, differences
from bench.judge.evidence import own_trials
from bench.judge.history.changes import LEVEL, Course, Pending, Shift, course
from bench.judge.history.coincidence import Coincidence, Night, Options, coincidence
from bench.judge.metrics import P99, energy_per_item_j, fewest_requests, speed, tail_needs
from bench.judge.reasons import no_look
from bench.judge.series import Series
from bench.judge.speedup import Cell
from bench.judge.statistics import Paired, ratio
from bench.judge.untold import without_blocks
from bench.judge.when import measured_at
from bench.records import Plan, TrialRecord
from bench.stored import GREATEST, SetAside, StoredRun

Metric = Literal["throughput", "start_up", "p99", "energy"]
METRICS: tuple[Metric, ...] = ("throughput", "start_up", "p99", "energy")
RISING_IS_BETTER: Mapping[Metric, bool] = {"throughput": True, "start_up": False, "p99": False, "energy": False}
Between = Callable[[Night, Night], Sequence[Difference]]


@dataclass(frozen=True)
class Key(Series):
    """What is followed over time: a series, by one of its metrics."""

    metric: Metric


@dataclass(frozen=True)
class Point:
    """One run of a series. value: geometric mean over valid blocks: items per second, seconds (start_up), milliseconds
    (p99), joules for an item (energy). low, high: its 95 % interval within the run."""

    night: Night
    value: float
    low: float
    high: float
    valid: int
    planned: int


@dataclass(frozen=True)
class Change:
    """A shift, or one that is not sure yet, and what else changed then. `before` and `first`: the last run before it,
    and the first after it. `ratio` above 1: more items, seconds, milliseconds or joules than before."""

    shift: Shift | Pending
    before: Night
    first: Night
    better: bool
    coincides: Coincidence


@dataclass(frozen=True)
class Trend:
    """`without`: runs that were to measure it and have fewer than FEWEST valid blocks of it."""

    key: Key
    points: tuple[Point, ...]
    course: Course
    changes: tuple[Change, ...]
    pending: Change | None
    without: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """Runs in their order. `set_aside`: what is not used, and why."""

    nights: tuple[Night, ...]
    series: tuple[Trend, ...]
    set_aside: tuple[SetAside, ...]

    @property
    def changes(self) -> list[tuple[Trend, Change]]:
        """All, the newest first; of one run the largest first."""
        found = [(series, change) for series in self.series for change in series.changes]
        return sorted(found, key=lambda item: (-item[1].first.when.timestamp(), -abs(math.log(item[1].shift.ratio))))


def history(runs: Iterable[StoredRun | SetAside]) -> History:
    """Of runs, and of what could not even be read. They are taken one by one, and only means are kept of them."""
    aside: list[SetAside] = []
    nights: list[Night] = []
    points: dict[Key, list[Point]] = {}
    options: dict[Key, Options] = {}
    without: dict[Key, list[tuple[datetime, str]]] = {}
    for run in runs:
        if isinstance(run, SetAside):
            aside.append(run)
            continue
        aside += [SetAside(f"{run.name}, {item.where}", item.why) for item in run.set_aside]
        if why := _useless(run):
            aside.append(SetAside(run.name, why))
            continue
        when = measured_at(run)
        assert when is not None  # _useless says so
        night = Night(run.name, when, _without_claims(run.description))
        told = list(_points(run, night))
        if any(point for *_, point in told):
            nights.append(night)
        else:
            aside.append(SetAside(run.name, f"none of its series has {FEWEST} valid blocks, the fewest that count"))
        for key, chosen, point in told:
            options[key] = chosen
            if point:
                points.setdefault(key, []).append(point)
            else:
                without.setdefault(key, []).append((when, run.name))

    @cache  # many series shift in the same run
    def between(before: Night, after: Night) -> Sequence[Difference]:
        return differences(before.description, after.description)

    series = [
        _series(key, points[key], options[key], without.get(key, ()), between) for key in sorted(points, key=_order)
    ]
    return History(tuple(sorted(nights, key=_by_time)), tuple(series), tuple(aside))


def _without_claims(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """They are most of it, and hundreds of descriptions are held at once."""
    config = description.get("config")
    if not isinstance(config, Mapping):
        return description
    return {**description, "config": {name: value for name, value in config.items() if name != "claims"}}


def _useless(run: StoredRun) -> str | None:
    if run.rehearsal:
        return "it is a rehearsal: its numbers are of no device"
    if not any(trial.status == "ok" for trial in run.trials):
        return "it has no valid trial"
    if strange := without_blocks(run.plan):
        return strange
    if run.plan.imported is None and (run.plan.look_level is None or not run.plan.looks):
        return no_look(run.plan, run.plan.blocks)
    if measured_at(run) is None:
        return "nothing tells when it was measured: neither run.json nor the folder's name"
    return None


def _points(run: StoredRun, night: Night) -> Iterator[tuple[Key, Options, Point | None]]:
    """Of each cell of the version that the run is about; None where it was to be measured and too few blocks are
    valid."""
    plan = run.plan
    valid: dict[Cell, list[TrialRecord]] = {}
    for found in run.trials:
        if found.status == "ok":
            valid.setdefault((found.partition, found.optimization), []).append(found)
    for cell, planned in own_trials(plan).items():
        first = planned[0]
        options = Options(first.optimization, first.division, first.isolation, first.neighbours)
        for metric in METRICS:
            values = _values(plan, valid.get(cell, []), metric)
            enough = len(values) >= FEWEST
            if enough or metric == plan.measures:
                key = Key(plan.device, plan.workload, plan.scenario, *cell, metric)
                yield key, options, _point(night, values, len(planned)) if enough else None


def _values(plan: Plan, trials: Sequence[TrialRecord], metric: Metric) -> list[float]:
    """Of every valid trial that tells, in the metric's own unit."""
    if metric == "energy":
        told = (energy_per_item_j(trial) for trial in trials)
        return [value for value in told if value and 1 / GREATEST <= value <= GREATEST]
    if metric == "p99":
        if plan.measures == "start_up" or fewest_requests(trials) < tail_needs(P99):
            return []
        return [1e3 / found for trial in trials if (found := speed(trial, "p99"))]
    if metric != plan.measures:
        return []
    speeds = [found for trial in trials if (found := speed(trial, metric))]
    return speeds if metric == "throughput" else [1 / found for found in speeds]


def _point(night: Night, values: Sequence[float], planned: int) -> Point:
    paired = Paired.of([math.log(value) for value in values])
    half = paired.half_width(LEVEL)
    low, high = ratio(paired.mean - half), ratio(paired.mean + half)
    return Point(night, ratio(paired.mean), low, high, len(values), planned)


def _series(
    key: Key, points: list[Point], options: Options, without: Sequence[tuple[datetime, str]], between: Between
) -> Trend:
    points = sorted(points, key=lambda point: _by_time(point.night))
    found = course([math.log(point.value) for point in points])
    nights = [point.night for point in points]
    changes = tuple(_change(key, shift, nights, options, between) for shift in found.shifts)
    pending = _change(key, found.pending, nights, options, between) if found.pending else None
    return Trend(key, tuple(points), found, changes, pending, tuple(name for _, name in sorted(without)))


def _change(key: Key, shift: Shift | Pending, nights: Sequence[Night], options: Options, between: Between) -> Change:
    better = (shift.ratio > 1) == RISING_IS_BETTER[key.metric]
    coincides = coincidence(nights, shift.index, options, between)
    return Change(shift, nights[shift.index - 1], nights[shift.index], better, coincides)


def _by_time(night: Night) -> tuple[datetime, str]:
    return night.when, night.name


def _order(key: Key) -> tuple[object, ...]:
    return (
        key.device,
        key.workload,
        key.scenario,
        key.partition != "full",
        key.partition,
        key.optimization,
        METRICS.index(key.metric),
    )
