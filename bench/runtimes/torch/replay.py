"""The proof of calls that replay a CUDA graph: its kernels run without any operator that torch's dispatcher sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.contract import Arrays, Proof
from bench.runtimes.kernel_names import kernel_precision
from bench.runtimes.proofs import proof
from bench.runtimes.torch.model import TorchLoaded
from bench.runtimes.torch.proof import heavy_operators, kernels, longest, profiled

NAMED = "kernel"
"""Stands for the operator of a replayed kernel that is known by its name only."""


@dataclass(frozen=True, kw_only=True)
class Replayed(TorchLoaded):
    """`plain`: makes the same calls without a graph."""

    plain: Callable[..., Any]

    def prove(self, inputs: Arrays) -> Proof:
        plain = profiled(partial(self.plain, **self.placed(inputs)))
        return read_replay(plain, profiled(self.bind(inputs)), self.proof_detail())


def read_replay(plain: Mapping[str, Any], replay: Mapping[str, Any], detail: Mapping[str, Any]) -> Proof:
    """The heavy kernels that the replay ran, not those of the plain call. That call only tells which kernels are of
    heavy operators, and the precision of those whose names do not: it runs operators with typed arguments."""
    operators = heavy_operators(plain)
    known = {operator.main: (operator.name, operator.precision) for operator in operators}
    counts: Counter[tuple[str, str]] = Counter()
    for kernel in kernels(replay):
        named = kernel_precision(kernel["name"])
        if kernel["name"] in known:
            counts[known[kernel["name"]]] += 1
        elif named is not None:
            counts[NAMED, named] += 1
    told = {"kernels": longest(kernels(replay)), "heavy_without_graph": len(operators)}
    return proof(counts, {**detail, **told})
