"""Numbers as people read them, the same in every form of report. None is a dash."""

from __future__ import annotations

from bench.judge.limit import Limit
from bench.judge.speedup import SpeedUp
from bench.judge.tails import Tail
from bench.records import Quality

NONE = "–"


def rate(per_s: float | None) -> str:
    """Items per second: four digits are more than their spread allows."""
    if per_s is None:
        return NONE
    return f"{per_s:,.0f}" if per_s >= 1000 else f"{per_s:.4g}"


def ms(value: float | None) -> str:
    """Milliseconds, to the microsecond."""
    return NONE if value is None else f"{value:,.3f}"


def ratio(found: SpeedUp | None) -> str:
    """A speed-up with its 95 % interval, where there is one."""
    return str(found) if found else NONE


def of_ceiling(found: Limit | None, host_bound: bool = False) -> str:
    """How near to the physical limit, and to which; and whether it is the host that limits."""
    near = [f"{100 * found.share:,.1f} % {found.of}"] if found else []
    return ", ".join([*near, *(["host-bound"] if host_bound else [])]) or NONE


def interval(low: float, high: float, digits: int) -> str:
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def quantile(tail: Tail) -> tuple[str, str]:
    """A latency quantile and its interval, or that it has too few requests and how many it needs."""
    if tail.estimate is None:
        return "too few", f"({tail.fewest:,} of {tail.needed:,})"
    if tail.low is None or tail.high is None:
        return ms(tail.estimate), ""
    return ms(tail.estimate), interval(tail.low, tail.high, 3)


def quality(found: Quality | None, is_baseline: bool = False) -> str:
    """Accuracy with its difference in points, otherwise agreement or error, called so."""
    if found is None:
        return NONE
    if found.accuracy is not None:
        shown = f"{100 * found.accuracy:.2f} %"
        if is_baseline or found.baseline_accuracy is None:
            return shown
        return f"{shown} ({100 * (found.accuracy - found.baseline_accuracy):+.2f})"
    if is_baseline:
        return "baseline"
    if found.top1_agreement is not None:
        return f"{100 * found.top1_agreement:.2f} % agree"
    return f"{found.relative_error:.2g} relative error"


def counted(number: int, one: str, many: str | None = None) -> str:
    """1 trial, 2 trials."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
