"""What neighbours cost: a tenant alone against the same tenant beside others, in the same block (docs/method.md). Pure.

The victim is the tenant in the first slot; where all tenants run the workload it is still that one. Alone means on the
same division with the other slots empty, so that what is compared is not the smaller slot. As everywhere, one trial is
one observation: ratios are exp of mean differences of logarithms, paired by block, with a t interval of 95 %.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.judge.arranged import Arranged, Key, logs, median_of, of_neighbours, over, ratio_of
from bench.judge.fairness import sharing
from bench.judge.metrics import p99_ms
from bench.judge.speedup import SpeedUp
from bench.judge.tails import needed
from bench.records import ALONE, PROCESS, SAME, TrialRecord
from bench.stored import StoredRun

FULL = "full"
MOST_DIVISIONS = 20
"""That are compared with each other: a record that names thousands would make millions of pairs."""


@dataclass(frozen=True)
class Tail:
    """p99 beside over p99 alone. None where no block has both, or where a process had too few requests: `fewest` of
    them, `needed` are enough."""

    inflation: SpeedUp | None
    fewest: int
    needed: int


@dataclass(frozen=True)
class Beside:
    """A victim beside one kind of neighbours. slow_down: its speed alone over its speed beside, so 2 is half as fast;
    None where no block has both. neighbours_per_s: requests of all of them together, the median trial; shown, and not
    judged."""

    division: str
    isolation: str
    optimization: str
    neighbours: str
    tenants: int
    slow_down: SpeedUp | None
    p99: Tail
    neighbours_per_s: float | None


@dataclass(frozen=True)
class Together:
    """All slots running the workload at once. against_full: their throughput together over that of one tenant that has
    the device to itself (in `full_isolation`); None where that was not measured in the same blocks."""

    division: str
    isolation: str
    optimization: str
    tenants: int
    jain: float | None
    lowest_share: float | None
    full_isolation: str | None
    against_full: SpeedUp | None


@dataclass(frozen=True)
class Protection:
    """Beside the same neighbours: the slow-down on `division` over that on `other`, from blocks that have all four
    cells. Below 1, `division` protects its victim better."""

    division: str
    other: str
    isolation: str
    optimization: str
    neighbours: str
    ratio: SpeedUp | None


@dataclass(frozen=True)
class Isolated:
    """The same arrangement in `isolation` over that in plain processes; a speed, so above 1 is faster."""

    division: str
    isolation: str
    optimization: str
    neighbours: str
    ratio: SpeedUp | None


@dataclass(frozen=True)
class Mixed:
    """Tenants that the partition names one by one: shown, and compared with nothing. Items per second and requests per
    second, medians over valid trials."""

    partition: str
    optimization: str
    workload_per_s: float | None
    neighbours_per_s: float | None


@dataclass(frozen=True)
class Interference:
    """All that a run tells about neighbours and isolation; false when that is nothing."""

    beside: Sequence[Beside] = ()
    together: Sequence[Together] = ()
    protection: Sequence[Protection] = ()
    isolated: Sequence[Isolated] = ()
    mixed: Sequence[Mixed] = ()

    def __bool__(self) -> bool:
        return bool(self.beside or self.together or self.isolated or self.mixed)


def interference(run: StoredRun) -> Interference:
    """Of all arrangements that were planned, in the order of their names. A rehearsal tells nothing."""
    if run.rehearsal:
        return Interference()
    arranged = Arranged(run)
    with_alone = [key for key in arranged.keys if key.neighbours != ALONE and arranged.has(key.beside(ALONE))]
    return Interference(
        [_beside(arranged, key) for key in with_alone],
        [_together(arranged, key) for key in with_alone if key.neighbours == SAME],
        list(_protection(arranged, with_alone)),
        list(_isolated(arranged, run.plan.against)),
        list(_mixed(arranged)),
    )


def _beside(arranged: Arranged, key: Key) -> Beside:
    alone, beside = arranged.trials(key.beside(ALONE)), arranged.trials(key)
    return Beside(
        key.division,
        key.isolation,
        key.optimization,
        key.neighbours,
        arranged.tenants(key),
        ratio_of(_slow_down(arranged, key)),
        _tail(alone, beside),
        arranged.neighbours_per_s(key),
    )


def _tail(alone: Mapping[int, TrialRecord], beside: Mapping[int, TrialRecord]) -> Tail:
    paired = [trials[block] for trials in (alone, beside) for block in alone.keys() & beside]
    fewest, enough = min((_requests(trial) for trial in paired), default=0), needed("p99")
    inflation = over(logs(beside, _p99_ms), logs(alone, _p99_ms)) if fewest >= enough else {}
    return Tail(ratio_of(inflation), fewest, enough)


def _together(arranged: Arranged, key: Key) -> Together:
    trials = arranged.trials(key)
    found = sharing(list(trials.values()))
    candidates = (Key(FULL, isolation, SAME, key.optimization) for isolation in (key.isolation, PROCESS))
    full = next(filter(arranged.has, candidates), None) if key.division != FULL else None
    against = over(logs(trials, _all_per_s), logs(arranged.trials(full), _all_per_s)) if full else {}
    return Together(
        key.division,
        key.isolation,
        key.optimization,
        arranged.tenants(key),
        found.jain if found else None,
        found.lowest_share if found else None,
        full.isolation if full else None,
        ratio_of(against),
    )


def _protection(arranged: Arranged, keys: Sequence[Key]) -> Iterator[Protection]:
    """Of any two divisions whose victims had the same neighbours, and as many of them. `same` is left out: there
    every division brings neighbours of its own, as fast as its slots are."""
    groups: dict[tuple[str, str, str, int], list[Key]] = {}
    for key in keys:
        if key.neighbours != SAME:
            alike = key.neighbours, key.isolation, key.optimization, arranged.tenants(key)
            groups.setdefault(alike, []).append(key)
    for group in groups.values():
        slow_downs = [(key, _slow_down(arranged, key)) for key in group[:MOST_DIVISIONS]]
        for (first, here), (second, there) in combinations(slow_downs, 2):
            yield Protection(
                first.division,
                second.division,
                first.isolation,
                first.optimization,
                first.neighbours,
                ratio_of(over(here, there)),
            )


def _slow_down(arranged: Arranged, key: Key) -> dict[int, float]:
    return over(logs(arranged.trials(key.beside(ALONE)), _speed), logs(arranged.trials(key), _speed))


def _isolated(arranged: Arranged, versions: Collection[str]) -> Iterator[Isolated]:
    """Isolations that are there for a version that they run are compared elsewhere."""
    for key in arranged.keys:
        plain = key.inside(PROCESS)
        if key != plain and key.isolation not in versions and arranged.has(plain):
            found = over(logs(arranged.trials(key), _all_speed), logs(arranged.trials(plain), _all_speed))
            yield Isolated(key.division, key.isolation, key.optimization, key.neighbours, ratio_of(found))


def _mixed(arranged: Arranged) -> Iterator[Mixed]:
    for partition, optimization, trials in arranged.mixed:
        yield Mixed(partition, optimization, median_of(trials, _all_per_s), median_of(trials, of_neighbours))


# --- of one trial ---


def _speed(trial: TrialRecord) -> float | None:
    """Of the victim: items per second, or where start-up was measured, starts per second."""
    if trial.start_up_s is not None:
        return _inverse(next(iter(trial.tenant_start_up_s), trial.start_up_s))
    return next(iter(trial.tenant_throughput_per_s), None)


def _all_speed(trial: TrialRecord) -> float | None:
    return _inverse(trial.start_up_s) if trial.start_up_s is not None else trial.throughput_per_s


def _all_per_s(trial: TrialRecord) -> float | None:
    return trial.throughput_per_s if trial.start_up_s is None else None


def _p99_ms(trial: TrialRecord) -> float | None:
    return next(iter(p99_ms(trial)), None)


def _requests(trial: TrialRecord) -> int:
    return next(iter(trial.tenant_requests), 0)


def _inverse(seconds: float) -> float | None:
    return 1 / seconds if seconds > 0 else None
