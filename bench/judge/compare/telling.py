"""Whether one side's trials tell a metric. What is asked is decided by the plan and the base: a candidate that stops
telling what got worse must not make the question go away. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.compare.comparison import Metric, Obstacle, cost
from bench.judge.compare.lost import lost_blocks
from bench.judge.metrics import P99, fewest_requests, tail_needs
from bench.records import Plan, TrialRecord


def asked(metric: Metric, plan: Plan, base: Sequence[Sequence[TrialRecord]]) -> bool:
    """Whether it is judged: the plan is about it, or a run of the base (`base`: valid trials of each) tells it."""
    if metric == plan.measures:
        return True
    if plan.measures == "start_up":  # a start-up is one request long
        return False
    if metric == "p99" and plan.min_requests >= tail_needs(P99):
        return True
    return any(tells(metric, trials) for trials in base)


def tells(metric: Metric, trials: Sequence[TrialRecord]) -> bool:
    """Whether these valid ones do, all but a fifth of them; a p99 each of them, and of batches of one size."""
    if metric == "p99":
        alike = len({trial.batch_size for trial in trials}) == 1
        return alike and fewest_requests(trials) >= tail_needs(P99)
    untold = [f"no {metric} was told" for trial in trials if cost(trial, metric) is None]
    return bool(trials) and lost_blocks(untold, len(trials)) is None


def too_few_requests(fewest: int) -> Obstacle | None:
    """For a p99. Leaving out the trials that have too few would leave out the slow ones."""
    needs = tail_needs(P99)
    said = f"a p99 needs {needs} requests in each process, and one trial had {fewest}"
    return None if fewest >= needs else Obstacle(f"{said}; protocol.min_requests={needs} takes as many on both sides")
