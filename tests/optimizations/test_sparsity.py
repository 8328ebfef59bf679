"""2:4 sparsity: which weights stay, that training keeps the zeros, what it costs, and what is asked of torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.contract import Recipe
from bench.optimizations import store
from bench.optimizations.sparsity import Prune2to4, SemiStructured, layers_to_change, mask_2to4, suitable_layers
from workloads.glyphs import Glyphs

from .linear_glyphs import LinearGlyphs, Unfolded, right
from .specimens import Sequences, Squares


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_exactly_two_of_four_stay_and_they_are_the_largest(rows: int, groups: int, seed: int) -> None:
    weight = torch.randn(rows, 4 * groups, generator=torch.Generator().manual_seed(seed))
    fours, masks = weight.reshape(-1, 4), mask_2to4(weight).reshape(-1, 4)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert (masks.sum(1) == 2).all()
    kept, gone = fours.abs()[masks == 1].reshape(-1, 2), fours.abs()[masks == 0].reshape(-1, 2)
    assert (kept.min(1).values >= gone.max(1).values).all()


def test_of_equal_weights_two_stay() -> None:
    assert (mask_2to4(torch.ones(2, 8)).reshape(-1, 4).sum(1) == 2).all()


def test_layers_of_other_sizes_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(32, 48), nn.Linear(48, 40), nn.Conv2d(16, 16, 1))
    assert suitable_layers(model) == [model[0]]
    with pytest.raises(ValueError, match="1 convolution and 1 linear layer stay as they are"):
        layers_to_change(model)


@pytest.mark.parametrize("workload", [Squares(), Glyphs()], ids=["squares", "glyphs"])
def test_a_network_of_convolutions_says_that_it_cannot_be(workload: Any) -> None:
    with pytest.raises(ValueError, match=r"convolutions.* stay as they are .its kernels need multiples of 16 x 16"):
        Prune2to4().apply(workload.load(), workload)


def test_fine_tuning_keeps_the_zeros_and_changes_the_rest() -> None:
    workload = Sequences()
    before = {name: layer.weight.detach().clone() for name, layer in named(workload.load())}
    pruned = Prune2to4().apply(workload.load(), workload)
    for name, layer in named(pruned):
        assert (layer.weight.reshape(-1, 4).count_nonzero(1) <= 2).all()
        kept = mask_2to4(before[name]) == 1
        assert (layer.weight[~kept] == 0).all()
        assert (layer.weight[kept] != before[name][kept]).any()
        assert isinstance(layer.weight, nn.Parameter)  # no trace of the reparametrisation is stored


def named(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    suitable = suitable_layers(model)
    return [(name, part) for name, part in model.named_modules() if part in suitable]


def test_the_layers_are_stored_sparse_in_fp16_after_they_were_restored(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the kernels: what torch is asked to compress is in fp16, on the device, and 2:4 to the last weight."""
    asked: list[torch.Tensor] = []

    def compress(weight: torch.Tensor) -> torch.Tensor:
        asked.append(weight)
        return weight

    from bench.optimizations.precision import Cast

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", compress)
    workload = Sequences()
    recipe = Recipe(workload, (Prune2to4(), Cast("float16"), SemiStructured()), tmp_path)
    store.prepare(recipe, tmp_path)
    model = recipe.model(lambda moved: moved)
    assert [tuple(weight.shape) for weight in asked] == [(64, 32), (32, 64)]
    for weight in asked:
        assert weight.dtype is torch.float16 and not weight.requires_grad
        assert (weight.reshape(-1, 4).count_nonzero(1) <= 2).all()
    assert model.fc1.weight.data_ptr() == asked[0].data_ptr()


def test_torch_compresses_what_it_is_given_only_on_a_gpu() -> None:
    with pytest.raises(RuntimeError, match="device"):
        SemiStructured().apply(Sequences().load().half(), Sequences())


def test_patches_and_convolution_are_the_same_function() -> None:
    torch.manual_seed(0)
    for stride, size in ((1, 3), (2, 3), (2, 1)):
        convolution = nn.Conv2d(4, 6, size, stride, padding=size // 2, bias=False)
        unfolded, images = Unfolded(convolution), torch.randn(2, 4, 8, 8)
        torch.testing.assert_close(unfolded.by_patches(images), convolution(images))
        torch.testing.assert_close(unfolded.quickly(images), convolution(images))


@pytest.mark.slow
def test_pruned_and_fine_tuned_glyphs_lose_less_than_one_point() -> None:
    """Run dense, on the CPU; without fine-tuning the loss is twenty points."""
    workload = LinearGlyphs(evaluation_images=2_000, finetune_images=6_400, finetune_rate=1e-3)
    original = right(workload.load(), workload)
    pruned = Prune2to4().apply(workload.load(), workload)
    layers = suitable_layers(pruned)
    assert len(layers) == 8  # all but the first, of nine weights a row, and the head, of 36 rows
    assert all((layer.weight.reshape(-1, 4).count_nonzero(1) <= 2).all() for layer in layers)
    now = right(pruned, workload)
    assert original.mean() > 0.96
    assert abs(now.mean() - original.mean()) <= 0.01
