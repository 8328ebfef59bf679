"""What one item costs, by hand and as it is counted; wherever it is not certain, the smaller number."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.contract import Arrays, Pass, Recipe, Workload, plugin
from bench.errors import InputError
from bench.measure import work
from bench.measure.work import Work, least_share_of_convolution
from bench.optimizations import store
from bench.optimizations.precision import Cast

BATCH = 4


@plugin
class Given(Workload):
    """A model that the test gives, on random numbers of one shape."""

    model: Any
    shape: tuple[int, ...]
    kind: ClassVar[str] = "torch"

    def identity(self) -> Mapping[str, Any]:
        return {}

    def load(self) -> Any:
        return copy.deepcopy(self.model).eval()

    def inputs(self, batch_size: int, seed: int) -> Arrays:
        return {"input": np.random.default_rng(seed).random((batch_size, *self.shape), dtype=np.float32)}


def counted(model: Any, *shape: int, passes: tuple[Pass, ...] = ()) -> Work:
    workload = Given(model, shape)
    return work.count(Recipe(workload, passes), workload.inputs(BATCH, 0))


def test_a_linear_layer_by_hand() -> None:
    found = counted(nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)), 8)
    multiply_adds = 8 * 5 + 5 * 3
    assert found == Work(2 * multiply_adds, 2 * multiply_adds, weights=multiply_adds, values_per_item=8 + 3)


@pytest.mark.parametrize(
    ("convolution", "outputs", "multiply_adds", "least_share"),
    [
        (nn.Conv2d(3, 5, 3, padding=1), 6 * 6 * 5, 6 * 6 * 5 * 3 * 9, (6 / 12) ** 2),
        (nn.Conv2d(3, 5, 1), 6 * 6 * 5, 6 * 6 * 5 * 3, 1.0),
        (nn.Conv2d(3, 5, 3, stride=2, padding=1), 3 * 3 * 5, 3 * 3 * 5 * 3 * 9, 1.0),
        (nn.Conv2d(3, 6, (1, 5), groups=3, padding=(0, 2)), 6 * 6 * 6, 6 * 6 * 6 * 5, 8 / 20),
    ],
    ids=["3x3", "1x1", "stride 2", "1x5 in groups"],
)
def test_a_convolution_by_hand(convolution: Any, outputs: int, multiply_adds: int, least_share: float) -> None:
    found = counted(convolution, 3, 6, 6)
    assert found.flops_per_item == 2 * multiply_adds
    assert found.least_flops_per_item == pytest.approx(2 * multiply_adds * least_share)
    assert found.weights == convolution.weight.numel()
    assert found.values_per_item == 3 * 6 * 6 + outputs


@given(st.lists(st.tuples(st.integers(1, 31), st.integers(1, 4)), min_size=1, max_size=3))
def test_no_algorithm_needs_less_than_one_multiplication_for_an_output(sizes: list[tuple[int, int]]) -> None:
    kernel, stride = zip(*sizes, strict=True)
    assert 1 / math.prod(kernel) <= least_share_of_convolution(kernel, stride) <= 1


@pytest.mark.parametrize("masked", [False, True])
def test_attention_counts_on_a_cpu_and_what_is_masked_need_not_be_computed(masked: bool) -> None:
    class Attention(nn.Module):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(input, input, input, is_causal=masked)

    found = counted(Attention(), 2, 7, 16)  # heads, positions, width
    assert found.flops_per_item == 2 * (2 * 7 * 7 * 16) * 2  # two products
    assert found.least_flops_per_item == (0 if masked else found.flops_per_item)


def test_an_embedding_is_not_read_whole_and_what_did_not_run_not_at_all() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.unused, self.head = nn.Embedding(1000, 16), nn.Linear(16, 99), nn.Linear(16, 2)

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(input.long()).mean(1))

    assert counted(Model(), 7).weights == 16 * 2


def test_an_output_layer_that_shares_its_weights_with_an_embedding_reads_them() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(1000, 16), nn.Linear(16, 1000, bias=False)
            self.head.weight = self.table.weight

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(input.long()).mean(1))

    assert counted(Tied(), 7).weights == 16 * 1000


def test_a_cast_changes_nothing_of_it() -> None:
    def model() -> Any:
        return nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3))

    assert counted(model(), 8, passes=(Cast(dtype="bfloat16"),)) == counted(model(), 8)


def test_a_pruned_model_computes_less(tmp_path: Path) -> None:
    @plugin
    class Halved(Pass):
        prepared: ClassVar[bool] = True

        def apply(self, model: Any, workload: Workload) -> Any:
            from bench.optimizations.pruning import remove_channels

            remove_channels(model, workload.inputs(2, 0), 0.5)
            return model

    def model() -> Any:
        return nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 4))

    workload = Given(model(), (1, 8, 8))
    recipe = Recipe(workload, (Halved(), Cast(dtype="bfloat16")), tmp_path)
    store.prepare(recipe, tmp_path)
    before, after = counted(model(), 1, 8, 8), work.count(recipe, workload.inputs(BATCH, 0))
    assert after.unknown is None
    assert 0 < after.flops_per_item < 0.55 * before.flops_per_item
    assert after.weights < 0.55 * before.weights


def test_a_model_that_cannot_be_counted_says_why() -> None:
    class Broken(nn.Module):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no such kernel")

    found = counted(Broken(), 8)
    assert found.unknown is not None and "RuntimeError: no such kernel" in found.unknown
    assert math.isnan(found.flops_per_item)
    assert "no operator" in (counted(nn.ReLU(), 8).unknown or "")


def test_a_model_that_the_user_gave_wrongly_is_told_as_that() -> None:
    class Missing(Given):
        def load(self) -> Any:
            raise InputError("no weights", where="weights.bin", hint="give some")

    workload = Missing(None, (8,))
    with pytest.raises(InputError, match="no weights"):
        work.count(Recipe(workload), workload.inputs(BATCH, 0))


def test_other_kinds_of_model_are_not_counted() -> None:
    class Plain(Given):
        kind: ClassVar[str] = "callable"

    found = work.count(Recipe(Plain(None, (8,))), {})
    assert found.unknown == "the work of a model of kind 'callable' is not counted"


@pytest.mark.parametrize("found", [Work(1e9, 5e8, 1e6, 100.0), Work(unknown="not counted")])
def test_it_is_read_as_it_was_written(tmp_path: Path, found: Work) -> None:
    found.write(tmp_path)
    again = work.read(tmp_path)
    assert again.unknown == found.unknown
    assert np.array_equal([again.flops_per_item, again.weights], [found.flops_per_item, found.weights], equal_nan=True)
