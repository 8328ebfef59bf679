"""The order of trials: blocks of all cells, balanced and random.

Blocks come in mirrored pairs: the second of a pair runs the cells in the reverse order of the first. Within a pair
each cell then stands, on average, in the middle, so a drift that is linear over the pair cancels from every contrast
between cells, and of any two cells each comes first once. The first order of each pair is drawn at random. Cells of
one division stay together, so that a layout is applied once a block.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

Cell = tuple[str, str]
"""(partition, optimization)"""


def ordered_blocks(cells: Mapping[str, Sequence[Cell]], seed: int) -> Iterator[tuple[Cell, ...]]:
    """Blocks without end, for `cells` as division -> its cells. Block i depends on `seed` and i only, so a
    run may be prolonged without changing what was planned before."""
    pair = 0
    while True:
        order = _shuffled(cells, random.Random(f"{seed}:{pair}"))
        yield order
        yield order[::-1]
        pair += 1


def _shuffled(cells: Mapping[str, Sequence[Cell]], rng: random.Random) -> tuple[Cell, ...]:
    divisions = sorted(cells)
    rng.shuffle(divisions)
    order: list[Cell] = []
    for division in divisions:
        together = sorted(cells[division])
        rng.shuffle(together)
        order.extend(together)
    return tuple(order)
