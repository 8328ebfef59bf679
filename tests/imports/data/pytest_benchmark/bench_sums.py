"""What the files beside this one come from."""

import pytest


def total(values):
    return sum(values)


@pytest.mark.benchmark(group="sums")
@pytest.mark.parametrize("size", [1000, 20000])
def test_sum(benchmark, size):
    benchmark.extra_info["items"] = size
    benchmark.pedantic(total, args=(list(range(size)),), rounds=40, iterations=1, warmup_rounds=5)


def test_calibrated(benchmark):
    """Each round is the mean of many calls."""
    benchmark(total, range(10))


def test_odd_numbers(benchmark):
    benchmark.extra_info.update(limit=float("inf"), unit="µs")
    benchmark.pedantic(total, args=([1, 2, 3],), rounds=3)
