"""Pruning removes what it says: channels of convolutional networks, feed-forward channels and heads of
transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bench.contract import Device
from bench.optimizations import store
from bench.optimizations.distillation import Distill
from bench.optimizations.pruning import PruneUnstructured, remove_channels

from .specimens import Sequences, Squares, Trained

DEVICE = Device(kind="cpu", name="test", cpus=(0,), memory_bytes=1)


def test_half_of_all_channels_but_the_outputs() -> None:
    model = Squares().network(16)
    remove_channels(model.eval(), Squares().inputs(2, seed=0), 0.5)
    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [8, 8, 8, 16, 16, 16]
    assert (model.head.in_features, model.head.out_features) == (16, 4)


def bert() -> tuple[Any, dict[str, Any]]:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(num_hidden_layers=1, hidden_size=32, num_attention_heads=4, intermediate_size=64, vocab_size=50)
    ids = torch.arange(20).reshape(2, 10)
    return BertForSequenceClassification(config), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def vit() -> tuple[Any, dict[str, Any]]:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        num_hidden_layers=1, hidden_size=32, num_attention_heads=4, intermediate_size=64, image_size=16, patch_size=8
    )
    return ViTForImageClassification(config), {"pixel_values": torch.rand(2, 3, 16, 16)}


@pytest.mark.parametrize("make", [bert, vit])
def test_heads_and_feed_forward_of_transformers(make: Any, tmp_path: Any) -> None:
    model, inputs = make()
    model.eval()
    remove_channels(model, {name: tensor.numpy() for name, tensor in inputs.items()}, 0.5)
    widths = {name.split(".")[-1]: (p.in_features, p.out_features) for name, p in linear(model)}
    query, feed_forward = ("query", "intermediate") if make is bert else ("q_proj", "fc1")
    assert widths[query] == (32, 16)  # two of four heads of eight
    assert (32, 32) in [(p.in_features, p.out_features) for name, p in linear(model) if feed_forward in name]
    attention = next(m for m in model.modules() if hasattr(m, "num_attention_heads"))
    assert attention.num_attention_heads == 2
    store.save(model, make()[0], tmp_path)
    restored = store.load_into(make()[0], tmp_path)
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, restored(**inputs).logits)


def linear(model: Any) -> list[tuple[str, nn.Linear]]:
    return [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]


@pytest.mark.parametrize("workload", [Squares(), Sequences()], ids=["cnn", "transformer"])
def test_zeros_survive_fine_tuning(workload: Trained) -> None:
    before = workload.load()
    model = PruneUnstructured(ratio=0.75).apply(workload.load(), workload)
    for (name, layer), original in zip(model.named_modules(), before.modules(), strict=True):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            zeros = (layer.weight == 0).float().mean().item()
            assert zeros == pytest.approx(0.75, abs=0.02), name
            assert not torch.equal(layer.weight[layer.weight != 0], original.weight[layer.weight != 0])
            assert isinstance(layer.weight, nn.Parameter) and not hasattr(layer, "weight_mask")


def test_distillation_needs_training_data_and_a_student() -> None:
    class Untrained(Squares):
        trainable = False

    class Single(Squares):
        student = Trained.__mro__[1].student  # the contract's, which refuses

    assert "needs training data" in str(Distill().infeasible(Untrained(), DEVICE))
    assert "needs a student" in str(Distill().infeasible(Single(), DEVICE))
    assert Distill().infeasible(Squares(), DEVICE) is None
