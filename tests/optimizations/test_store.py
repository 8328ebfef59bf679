"""What is stored comes back: structure and weights exactly, and with them the outputs, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from bench.contract import Recipe
from bench.optimizations import store
from bench.optimizations.distillation import Distill
from bench.optimizations.precision import Cast
from bench.optimizations.pruning import PruneStructured, PruneUnstructured, remove_channels

from .specimens import Sequences, SmallCnn, SmallTransformer, Squares, Trained


@pytest.mark.parametrize("workload", [Squares(), Sequences()], ids=["cnn", "transformer"])
@pytest.mark.parametrize("part", [PruneStructured(), PruneUnstructured(), Distill()], ids=lambda p: type(p).__name__)
def test_a_prepared_model_comes_back(workload: Trained, part: PruneStructured, tmp_path: Path) -> None:
    recipe = Recipe(workload, (part,), tmp_path)
    store.prepare(recipe, tmp_path)
    torch.manual_seed(0)
    made = part.apply(workload.load(), workload)
    restored = recipe.model()
    assert str(restored) == str(made)
    assert {n: p.requires_grad for n, p in restored.named_parameters()} == {
        n: p.requires_grad for n, p in made.named_parameters()
    }
    inputs = {name: torch.tensor(array) for name, array in workload.inputs(8, seed=1).items()}
    with torch.no_grad():
        one, other = restored(**inputs), made(**inputs)
    for key in one if isinstance(one, dict) else [...]:
        assert torch.equal(one[key], other[key])
    assert {path.name for path in tmp_path.iterdir()} == {store.WEIGHTS, store.STRUCTURE}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.sampled_from([4, 8, 12]), ratio=st.floats(0.1, 0.8), kind=st.sampled_from(["cnn", "transformer"]))
def test_round_trip_of_any_pruned_network(width: int, ratio: float, kind: str, tmp_path: Path) -> None:
    def network() -> nn.Module:
        torch.manual_seed(width)
        return (SmallCnn(width) if kind == "cnn" else SmallTransformer(4 * width)).eval()

    workload: Trained = Squares() if kind == "cnn" else Sequences()
    inputs = workload.inputs(2, seed=0)
    model = network()
    remove_channels(model, inputs, ratio)
    store.save(model, network(), tmp_path)
    restored = store.load_into(network(), tmp_path)
    assert str(restored) == str(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, restored.state_dict()[name])


class Tied(nn.Module):
    """An output layer that shares its weight with an embedding, and a buffer outside the state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.output = nn.Linear(3, 5, bias=False)
        self.output.weight = self.embedding.weight
        self.register_buffer("scale", torch.rand(3), persistent=False)


def test_tied_weights_stay_tied_and_hidden_buffers_are_kept(tmp_path: Path) -> None:
    model, skeleton = Tied(), Tied()
    store.save(model, skeleton, tmp_path)
    restored = store.load_into(skeleton, tmp_path)
    assert restored.output.weight is restored.embedding.weight
    assert torch.equal(restored.output.weight, model.output.weight)
    assert torch.equal(restored.scale, model.scale)


def test_a_missing_weight_is_an_error(tmp_path: Path) -> None:
    store.save(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), tmp_path)
    with pytest.raises(ValueError, match="no value for bias"):
        store.load_into(nn.Linear(2, 2), tmp_path)


def test_prepared_passes_come_first() -> None:
    with pytest.raises(ValueError, match="must come before"):
        store.prepared_passes(Recipe(Squares(), (Cast("bfloat16"), PruneStructured())))
