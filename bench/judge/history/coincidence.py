"""What changed in the same run in which a series shifted, as far as is recorded. Coincidence, never cause. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.judge.differences import Difference, described

BESIDE = (0, -1, 1, -2, 2)
"""Where a shift is placed may be off by a run or two, in one case of ten (docs/history.md)."""
ELSEWHERE = ("baseline", "only")
"""Keys of the configuration that say what else is measured."""
CHOSEN = ("optimizations", "partitions", "isolation", "neighbours")
"""Groups of the configuration with an entry for each option, of which a series has one."""


@dataclass(frozen=True, eq=False)
class Night:
    """A run: `when` it was begun, in UTC, and its run.json."""

    name: str
    when: datetime
    description: Mapping[str, Any]


@dataclass(frozen=True)
class Coincidence:
    """`recorded`: both runs tell of their machine, so that "nothing changed" means something. `offset`: 0, or by how
    many runs what changed comes later than the shift (before it: negative)."""

    differences: tuple[Difference, ...]
    recorded: bool
    offset: int = 0


@dataclass(frozen=True)
class Options:
    """Those that a series was measured with."""

    optimization: str
    division: str
    isolation: str
    neighbours: str

    def concern(self, difference: Difference) -> bool:
        """Whether it can have to do with the series: options of others do not."""
        part, *rest = difference.path
        if part != "config" or not rest:
            return True
        mine = dict(zip(CHOSEN, (self.optimization, self.division, self.isolation, self.neighbours), strict=True))
        if rest[0] in mine and len(rest) > 1 and not rest[1].startswith("_"):
            return rest[1] == mine[rest[0]]
        return rest[0] not in ELSEWHERE


def coincidence(
    nights: Sequence[Night], index: int, options: Options, between: Callable[[Night, Night], Sequence[Difference]]
) -> Coincidence:
    """Between the run before `index` (at least 1) and that run; where nothing changed there, beside it. `nights`: the
    runs of the series, in their order. `between`: differences of their descriptions."""
    for offset in BESIDE:
        at = index + offset
        if 0 < at < len(nights):
            found = tuple(one for one in between(nights[at - 1], nights[at]) if options.concern(one))
            if found:
                return Coincidence(found, True, offset)
    return Coincidence((), all(described(night.description) for night in nights[index - 1 : index + 1]))
