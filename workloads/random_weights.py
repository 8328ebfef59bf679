"""Random weights under which a classifier's answers mean something.

A freshly initialised network gives nearly the same logits whatever it sees: its features share a large
constant part, and the same class wins every time. Agreement with a baseline would then be 100 % for any
change, and be worthless. Centring the logits does not help: a thousand random classes lie so close together
that rounding alone turns two thirds of the answers over. So three things are set, all of them from the seed
and from one forward pass over a prototype of each kind of input (`scenes.py`), with no training:

1. batch normalisation, where there is any, gets the statistics of that pass, as after training;
2. the last linear layer answers with the nearest prototype: row k is the direction of prototype k's features
   from their mean, so that each kind of input has a class of its own, with margins like those of training;
3. further classes (ImageNet has 1000, the inputs 16 kinds) get small random rows: they cost what they cost,
   and hardly ever win.
"""

from __future__ import annotations

from typing import Any

from bench.contract import Arrays

SHARPNESS = 10.0
"""Logit of a prototype's own class, above the mean of the classes."""
OTHER_CLASSES_STD = 0.5
"""Standard deviation of the logits of classes that no kind of input has."""


def make_meaningful(model: Any, prototypes: Arrays, seed: int) -> None:
    """Set batch statistics and the last linear layer of `model` from one forward pass over the prototypes."""
    import torch

    head = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    seen: list[Any] = []
    hook = head.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches seen, of which there is one
        norm.train()
    # Whatever precision the caller is about to try: the weights are those of float32.
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        model(**{name: torch.from_numpy(array) for name, array in prototypes.items()})
        hook.remove()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
        _answer_with_nearest(head, seen[0], seed)


def _answer_with_nearest(head: Any, features: Any, seed: int) -> None:
    """Weight and bias of `head` [classes, d] such that the features [k, d] of prototype k have class k."""
    import torch

    kinds = min(len(features), head.out_features)
    mean = features.mean(dim=0)
    centred = features - mean
    length = centred.norm(dim=1).mean()
    rows = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(seed)) * (OTHER_CLASSES_STD / length)
    rows[:kinds] = torch.nn.functional.normalize(centred[:kinds], dim=1) * (SHARPNESS / length)
    head.weight.copy_(rows)
    head.bias.copy_(-rows @ mean)
