"""Runs by the day on which they were measured. What differs between days is one deviation for all runs of a job, so
ten of them tell no more about it than one does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bench.judge.compare.matched import Part
from bench.judge.when import measured_at
from bench.stored import StoredRun

SAME_JOB = timedelta(hours=6)
"""Runs that begin within this of the one before are of one day."""
LONGEST = timedelta(days=1)
"""A day is no longer than this, however often somebody measures."""
UNDATED = datetime.min.replace(tzinfo=UTC)


def by_time(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """In the order in which they were begun; first those of which nothing tells that."""
    return sorted(runs, key=_begun)


def days(parts: Sequence[Part]) -> list[list[Part]]:
    """In their order. Runs that nothing dates are all of one day: nobody knows better."""
    found: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: _begun(part.run)):
        when = _begun(part.run)
        if found and when - _begun(found[-1][-1].run) <= SAME_JOB and when - _begun(found[-1][0].run) <= LONGEST:
            found[-1].append(part)
        else:
            found.append([part])
    return found


def _begun(run: StoredRun) -> datetime:
    return measured_at(run) or UNDATED
