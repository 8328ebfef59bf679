"""The order of trials is balanced, random and reproducible."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, groupby, islice

import hypothesis.strategies as st
from hypothesis import given

from bench.plan.blocks import ordered_blocks

NAMES = st.text("abcdefgh", min_size=1, max_size=3)
CELLS = st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=5, unique=True), min_size=1, max_size=4)
SEEDS = st.integers(0, 2**63 - 1)


def blocks(cells: dict[str, list[str]], seed: int, count: int) -> list[tuple[tuple[str, str], ...]]:
    """Each partition is a division of its own."""
    together = {partition: [(partition, name) for name in names] for partition, names in cells.items()}
    return list(islice(ordered_blocks(together, seed), count))


@given(CELLS, SEEDS)
def test_every_block_has_every_cell_once(cells: dict[str, list[str]], seed: int) -> None:
    expected = Counter((partition, name) for partition, names in cells.items() for name in names)
    assert all(Counter(block) == expected for block in blocks(cells, seed, 5))


@given(CELLS, SEEDS)
def test_of_any_two_cells_each_comes_first_once_in_a_pair(cells: dict[str, list[str]], seed: int) -> None:
    order = blocks(cells, seed, 6)
    for first, second in zip(order[::2], order[1::2], strict=True):
        for a, b in combinations(first, 2):
            assert (first.index(a) < first.index(b)) != (second.index(a) < second.index(b))


@given(CELLS, SEEDS)
def test_a_linear_drift_cancels_within_a_pair(cells: dict[str, list[str]], seed: int) -> None:
    first, second = blocks(cells, seed, 2)
    sums: Counter[tuple[str, str]] = Counter()
    for position, cell in enumerate((*first, *second)):
        sums[cell] += position
    assert len(set(sums.values())) == 1


@given(CELLS, SEEDS)
def test_cells_of_one_partition_stay_together(cells: dict[str, list[str]], seed: int) -> None:
    for block in blocks(cells, seed, 4):
        assert len([key for key, _ in groupby(block, key=lambda cell: cell[0])]) == len(cells)


@given(CELLS, SEEDS, st.integers(0, 8), st.integers(0, 8))
def test_more_blocks_change_none_of_those_before(cells: dict[str, list[str]], seed: int, few: int, more: int) -> None:
    assert blocks(cells, seed, few + more)[:few] == blocks(cells, seed, few)


@given(CELLS, SEEDS)
def test_the_order_in_which_cells_were_named_does_not_matter(cells: dict[str, list[str]], seed: int) -> None:
    other = {partition: names[::-1] for partition, names in reversed(cells.items())}
    assert blocks(other, seed, 4) == blocks(cells, seed, 4)


def test_seeds_differ_and_pairs_differ() -> None:
    cells = {"full": list("abcdefgh"), "cpuset": list("abcdefgh")}
    orders = [blocks(cells, seed, 1)[0] for seed in range(20)] + blocks(cells, 0, 20)[2::2]
    assert len(set(orders)) == len(orders)


@given(CELLS, SEEDS)
def test_arrangements_of_one_division_stay_together(cells: dict[str, list[str]], seed: int) -> None:
    """A division is applied once a block, whatever runs in it, beside whom, and in what."""
    arranged = [
        (f"{partition}.{beside}", name) for partition, names in cells.items() for name in names for beside in "ab"
    ]
    together: dict[str, list[tuple[str, str]]] = {}
    for cell in arranged:
        together.setdefault(cell[0].split(".")[0], []).append(cell)
    for block in islice(ordered_blocks(together, seed), 4):
        assert len([key for key, _ in groupby(block, key=lambda cell: cell[0].split(".")[0])]) == len(cells)
