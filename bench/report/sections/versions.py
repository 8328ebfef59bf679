"""Two versions that were measured in the same blocks: whether the newer one is slower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.judge.compare.comparison import Comparison
from bench.report.compare.words import COLUMNS, as_row, headline, how_to_read, worst_first


@dataclass(frozen=True)
class Versions:
    """Column names that end in a colon hold numbers."""

    headline: str
    rows: Sequence[Sequence[str]]
    reading: Sequence[str]
    names: Sequence[str] = COLUMNS


def versions(found: Comparison | None) -> Versions | None:
    """None where the run compares none."""
    if found is None:
        return None
    return Versions(headline(found), [as_row(outcome) for outcome in worst_first(found.outcomes)], how_to_read(found))
