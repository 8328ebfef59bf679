"""2:4 sparsity: of every four weights two are zero, and GPUs since Ampere multiply only by the others."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.contract import Device, Pass, Workload, plugin
from bench.feasibility import needs_cuda
from bench.optimizations.heavy import refuse_if_mostly_unchanged

SPARSE_CAPABILITY = (8, 0)


@plugin
class Prune2to4(Pass):
    """Keep the two largest of every four weights in each row of the linear layers that sparse kernels can take, and
    set the others to zero. Then fine-tune with the original as teacher, the zeros kept, where the workload has training
    data; where it has none, quality suffers in full, and is measured."""

    prepared: ClassVar[bool] = True

    seed: int = 0

    def apply(self, model: Any, workload: Workload) -> Any:
        from torch.nn.utils import prune

        layers = layers_to_change(model)
        for layer in layers:
            # Reparametrised as weight_orig * mask: whatever the training does, the zeros stay.
            prune.custom_from_mask(layer, "weight", mask_2to4(layer.weight))
        if workload.trainable:
            workload.finetune(model, workload.load(), self.seed)
        for layer in layers:
            prune.remove(layer, "weight")
        return model.eval()


@plugin
class SemiStructured(Pass):
    """Store pruned linear weights, in fp16, as their non-zero halves, and multiply by those (cuSPARSELt, in torch)."""

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        return needs_cuda(device, SPARSE_CAPABILITY, "2:4 sparsity")

    def apply(self, model: Any, workload: Workload) -> Any:
        from torch import nn
        from torch.sparse import to_sparse_semi_structured

        for layer in layers_to_change(model):
            layer.weight = nn.Parameter(to_sparse_semi_structured(layer.weight.detach()), requires_grad=False)
        return model


def mask_2to4(weight: Any) -> Any:
    """Ones for the two largest magnitudes of every four neighbours in a row, else zeros; (rows, columns), as weight."""
    import torch

    groups = weight.detach().abs().reshape(-1, 4)
    kept = groups.topk(2, dim=1).indices
    return torch.zeros_like(groups).scatter_(1, kept, 1.0).reshape(weight.shape)


def layers_to_change(model: Any) -> list[Any]:
    """The suitable layers. Raises ValueError where most heavy layers are not, as in networks of convolutions."""
    layers, (rows, columns) = suitable_layers(model), least_sizes()
    refuse_if_mostly_unchanged(model, layers, "2:4 sparsity", f"its kernels need multiples of {rows} x {columns}")
    return layers


def suitable_layers(model: Any) -> list[Any]:
    """The linear layers whose sizes the sparse kernels of fp16 take."""
    from torch import nn

    rows, columns = least_sizes()
    return [
        part
        for part in model.modules()
        if isinstance(part, nn.Linear) and part.out_features % rows == 0 and part.in_features % columns == 0
    ]


def least_sizes() -> tuple[int, int]:
    """Of a weight: rows and columns must be multiples of these."""
    import torch
    from torch.sparse import SparseSemiStructuredTensorCUSPARSELT

    sizes = SparseSemiStructuredTensorCUSPARSELT._DTYPE_SHAPE_CONSTRAINTS[torch.float16]
    return sizes.sparse_min_rows, sizes.sparse_min_cols
