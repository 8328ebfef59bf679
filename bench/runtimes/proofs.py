"""From heavy operators, counted, to a proof: the same for all runtimes that see operators, layers or kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.contract import Proof


def proof(
    counts: Mapping[tuple[str, str], int], detail: Mapping[str, Any], providers: Mapping[str, int] | None = None
) -> Proof:
    """`counts`: heavy operators by (name, precision)."""
    precisions: Counter[str] = Counter()
    for (_, precision), count in counts.items():
        precisions[precision] += count
    heavy = {f"{name} {precision}": count for (name, precision), count in counts.items()}
    return Proof(majority(precisions), dict(precisions), dict(providers or {}), {**detail, "heavy": heavy})


def majority(counts: Mapping[str, int]) -> str:
    """The precision of most operators; "none" when no heavy operator ran, which no optimization expects."""
    return max(sorted(counts), key=lambda precision: counts[precision]) if counts else "none"
