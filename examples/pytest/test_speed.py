"""How fast is this project's code? `pytest --bench-blocks=10`, then `bench compare` with the run of another commit."""

from __future__ import annotations

import json
import zlib

import pytest

DOCUMENT = {"items": [{"id": number, "name": f"item {number}", "price": number / 7} for number in range(200)]}
TEXTS = [json.dumps(DOCUMENT | {"version": version}).encode() for version in range(8)]


def test_dump(bench_trial):
    """One call after the other, with the same argument."""
    bench_trial(json.dumps, DOCUMENT)


@pytest.mark.parametrize("level", [1, 6])
def test_compress(bench_trial, level):
    """Requests that take turns, so that no cache learns a single one."""
    bench_trial(lambda text: zlib.compress(text, level), inputs=TEXTS)


def test_parse_is_fast_enough(bench_trial):
    """A batch of eight, and what it must reach. A trial that was disturbed says nothing, so it is not asked."""
    found = bench_trial(lambda: [json.loads(text) for text in TEXTS], items=len(TEXTS))
    if found.valid:
        assert found.throughput_per_s > 100
