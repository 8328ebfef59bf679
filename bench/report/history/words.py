"""How a series and its changes are told to people, the same on the page and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.judge.compare.comparison import FEWEST
from bench.judge.compare.wording import WORSE
from bench.judge.history.changes import FEWEST_RUNS, Pending
from bench.judge.history.coincidence import Coincidence, Night
from bench.judge.history.history import Change, History, Metric, Trend
from bench.report.numbers import NONE, counted, rate

UNITS: Mapping[Metric, str] = {"throughput": "items/s", "start_up": "s", "p99": "ms", "energy": "J/item"}
NAMES: Mapping[Metric, str] = {
    "throughput": "throughput", "start_up": "start-up", "p99": "p99 latency", "energy": "energy per item",
}  # fmt: skip
MOST_DIFFERENCES = 6
MOST_TIMES = 2.0
"""From a factor of two on, and below a half, a change is told as a factor: percents mislead there."""


def direction(metric: Metric, change: Change) -> str:
    """As a comparison says it."""
    return WORSE[metric][change.better]


def size(change: Change) -> str:
    """ "−3.0 % [−3.5, −2.5]"; of one that is not sure yet without the interval."""
    shift = change.shift
    if isinstance(shift, Pending):
        return _size(shift.ratio)
    if _as_percent(shift.low) and _as_percent(shift.high):
        return f"{_size(shift.ratio)} [{_signed(shift.low)}, {_signed(shift.high)}]"
    return f"{shift.ratio:.3g}x [{shift.low:.3g}, {shift.high:.3g}]"


def recent(change: Change) -> str:
    """That it rests on few runs; empty for one that does not."""
    shift = change.shift
    if isinstance(shift, Pending) or not shift.recent:
        return ""
    return f"recent: only {counted(shift.runs_after, 'run')} so far"


def short_size(change: Change) -> str:
    """Without the interval."""
    return _size(change.shift.ratio)


def drifted(series: Trend) -> str:
    """Where a series drifts: how far it went in all."""
    drift = series.course.drift
    return "" if drift is None else f"{_size(drift)} over {counted(len(series.points), 'run')}"


def levels(series: Trend, change: Change) -> str:
    """Before a shift and after it, with the unit."""
    segments, place = series.course.segments, series.changes.index(change)
    before, after = (rate(math.exp(segments[at].level)) for at in (place, place + 1))
    return f"{before} → {after} {UNITS[series.key.metric]}"


def value(metric: Metric, found: float) -> str:
    """With its unit."""
    return f"{rate(found)} {UNITS[metric]}"


def subjects(history: History) -> Sequence[str]:
    """All pairs of workload and scenario."""
    return sorted({f"{series.key.workload} {series.key.scenario}" for series in history.series})


def date(night: Night) -> str:
    """The day, in UTC."""
    return f"{night.when:%Y-%m-%d}"


def dates(nights: Sequence[Night]) -> list[str]:
    """Each as short as tells it from the others: the day, or the time of day where several are of one."""
    days = [date(night) for night in nights]
    return days if len(set(days)) == len(days) else [f"{night.when:%m-%d %H:%M}" for night in nights]


def coincides(found: Coincidence) -> list[str]:
    """A line for each thing that changed, or that nothing did, or that nobody knows."""
    if not found.differences:
        if found.recorded:
            return ["nothing that is recorded changed"]
        return ["unknown: a run there does not describe its machine"]
    lines = [str(difference) for difference in found.differences[:MOST_DIFFERENCES]]
    left = len(found.differences) - len(lines)
    lines += [f"and {left} more (history.json)"] if left else []
    if found.offset:
        later = "later" if found.offset > 0 else "earlier"
        lines[0] = f"{counted(abs(found.offset), 'run')} {later}: {lines[0]}"
    return lines


def at_that_time(change: Change) -> str:
    """What coincides, as a sentence."""
    lines = "; ".join(coincides(change.coincides))
    return f"It coincides with {lines}." if change.coincides.differences else f"What coincides: {lines}."


def possible(series: Trend, change: Change) -> str:
    """The last runs lie off, and how many more would make it a shift."""
    shift = change.shift
    assert isinstance(shift, Pending)
    runs = "the last run differs" if shift.runs == 1 else f"the last {shift.runs} runs differ"
    return (
        f"{runs} by {short_size(change)} ({direction(series.key.metric, change)}): too few to be sure; "
        f"{counted(shift.awaited, 'more run')} like that would make it a shift"
    )


def headline(history: History) -> str:
    """What the history comes to, in one sentence."""
    over = f"{counted(len(history.series), 'series', 'series')} over {counted(len(history.nights), 'run')}"
    if not history.changes:
        young = sum(series.course.too_few for series in history.series)
        if young == len(history.series):
            return f"Too few runs yet to see shifts: {over}"
        runs = counted(len(history.nights), "run")
        looked = counted(len(history.series) - young, "series", "series")
        return f"No shift in {looked} over {runs}" + (f"; {young} with too few runs yet" if young else "")
    moved = {id(series) for series, _ in history.changes}
    worse = sum(not change.better for _, change in history.changes)
    told = f"{worse} for the worse" if worse else "none for the worse"
    return f"{counted(len(history.changes), 'shift')} in {len(moved)} of {over}, {told}"


def too_short(history: History) -> str:
    """How many series cannot be judged yet; empty without any."""
    short = [series for series in history.series if series.course.too_few]
    if not short:
        return ""
    longest = max(len(series.points) for series in short)
    return (
        f"{counted(len(short), 'series', 'series')} of at most {counted(longest, 'run')}: shifts are looked for from "
        f"{FEWEST_RUNS} runs on"
    )


def devices(history: History) -> Sequence[str]:
    """All, by name."""
    return sorted({series.key.device for series in history.series})


def _as_percent(ratio: float) -> bool:
    return 1 / MOST_TIMES < ratio < MOST_TIMES


def _size(ratio: float) -> str:
    return f"{_signed(ratio)} %" if _as_percent(ratio) else f"{ratio:.3g}x"


def _signed(ratio: float) -> str:
    """With a sign, and a minus that lines up with a plus."""
    return f"{100 * (ratio - 1):+.1f}".replace("-", "\u2212")


def too_few(series: Trend) -> str:
    """Of a series that cannot be judged yet."""
    runs = counted(len(series.points), "run")
    return f"{runs}: shifts are looked for from {FEWEST_RUNS} on."


def without(series: Trend) -> str:
    """Runs that give it no point; empty without any."""
    runs = counted(len(series.without), "run")
    return f"{runs} with fewer than {FEWEST} valid blocks of it" if series.without else ""


def noise(series: Trend) -> str:
    """Of one run about its level."""
    found = series.course.noise
    return NONE if found is None else f"{100 * found:.2g} %"
