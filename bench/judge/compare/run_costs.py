"""What versions cost in runs of different days, by metric, and what keeps them from being judged. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.judge.compare import telling
from bench.judge.compare.comparison import Metric, Obstacle
from bench.judge.compare.day_to_day import Apart, Sample, apart
from bench.judge.compare.days import days
from bench.judge.compare.lost import broke
from bench.judge.compare.matched import Matched, Part, batches_of
from bench.judge.metrics import fewest_requests
from bench.judge.series import Series
from bench.records import Thresholds


@dataclass(frozen=True)
class Asked:
    """A series and metric that is to be judged, with the runs that count, by day."""

    series: Series
    metric: Metric
    threshold: float
    base: Sequence[Sequence[Part]]
    candidate: Sequence[Sequence[Part]]
    obstacle: Obstacle | None
    found: Apart | None


def asked(series: Series, found: Matched, thresholds: Thresholds, day_to_day: float | None) -> Iterator[Asked]:
    """`day_to_day`: what is known of the day's deviation. Base runs that do not tell a metric are left out of it, as
    long as others do."""
    plan = found.candidate[0].run.plan
    every, candidate = found.counted()
    for metric in (plan.measures, "p99", "energy"):
        threshold: float | None = getattr(thresholds, metric)
        if threshold is None or not telling.asked(metric, plan, [part.valid for part in every]):
            continue
        base = [part for part in every if part.tells(metric)] or every
        obstacle = found.uncounted() or _obstacle(base, candidate, metric)
        before, after = days(base), days(candidate)
        told = None if obstacle else apart(_samples(before, metric), _samples(after, metric), day_to_day)
        yield Asked(series, metric, threshold, before, after, obstacle, told)


def _obstacle(base: Sequence[Part], candidate: Sequence[Part], metric: Metric) -> Obstacle | None:
    """What keeps a metric from being judged, of runs that count."""
    if len(batches := sorted(batches_of(candidate))) > 1:
        return Obstacle(f"the candidate took batches of {' and '.join(map(str, batches))} items")
    held_to = [part.losses for part in base]
    if broken := next((found for part in candidate if (found := broke(part.losses, held_to))), None):
        return broken
    if (silent := next((part for part in (*candidate, *base) if not part.tells(metric)), None)) is None:
        return None
    if metric == "p99" and (few := telling.too_few_requests(fewest_requests(silent.valid))):
        return few
    return Obstacle(f"{silent.run.name} tells it in {len(silent.logs(metric))} of {len(silent.valid)} valid blocks")


def _samples(found: Sequence[Sequence[Part]], metric: Metric) -> list[Sample]:
    return [Sample.of_day([Sample.of(part.logs(metric)) for part in day]) for day in found]
