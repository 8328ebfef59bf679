"""What every torch runtime needs: inputs as tensors in the form the model wants, one plain output tensor, a
proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from bench.contract import Array, Arrays, Proof, Slot
from bench.optimizations.calling import call, plain_output
from bench.runtimes.cuda_slot import Place
from bench.runtimes.placed import Placed


@dataclass(frozen=True)
class InputForm:
    """How a model wants its inputs: the dtype of floating-point ones, and the memory format of images."""

    dtype: str = "float32"
    channels_last: bool = False

    @classmethod
    def of(cls, model: Any) -> InputForm:
        """Read it off the weights, so that no option can contradict them."""
        import torch

        floating = [p for p in model.parameters() if p.is_floating_point()]
        dtype = str(floating[0].dtype).removeprefix("torch.") if floating else "float32"
        last = any(
            p.dim() == 4 and not p.is_contiguous() and p.is_contiguous(memory_format=torch.channels_last)
            for p in floating
        )
        return cls(dtype, last)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def tensors(self, inputs: Arrays) -> dict[str, Any]:
        """The inputs by name, as tensors that own their memory."""
        import torch

        converted = {}
        for name, array in inputs.items():
            tensor = torch.tensor(np.ascontiguousarray(array))
            if tensor.is_floating_point():
                tensor = tensor.to(getattr(torch, self.dtype))
            if self.channels_last and tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            converted[name] = tensor
        return converted


def positional(model: Any, names: tuple[str, ...]) -> Any:
    """The model as a module of positional tensors that returns one tensor: what tracing and exporting
    need."""
    import torch

    # Defined here because this file must not import torch at the top.
    class Positional(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return call(self.model, dict(zip(names, tensors, strict=True)))

    return Positional().eval()


def use_threads(slot: Slot) -> None:
    """Intra-operator threads. Operators run one after the other, so inter-operator threads stay idle."""
    import torch

    torch.set_num_threads(slot.threads)


@dataclass(frozen=True)
class TorchLoaded(Placed):
    """A torch callable; `by_name` says whether it takes its inputs by name or in the order of the
    dictionary."""

    function: Callable[..., Any]
    form: InputForm
    by_name: bool
    detail: Mapping[str, Any]
    unseen: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Heavy operators of each call that the profiler cannot see: (name, precision) -> how many."""
    place: Place = field(default_factory=Place)
    """Where the function's weights are."""

    def host_tensors(self, inputs: Arrays) -> dict[str, Any]:
        return self.form.tensors(inputs)

    def call_on(self, tensors: Mapping[str, Any]) -> Callable[[], Any]:
        return partial(self.function, **tensors) if self.by_name else partial(self.function, *tensors.values())

    def outputs(self, result: Any) -> Array:
        array: Array = plain_output(result).detach().float().cpu().numpy()
        return array

    def proof_detail(self) -> dict[str, Any]:
        """What is told of each proof: torch, the threads, and where it executes."""
        import torch

        where = self.place.detail()
        return {"torch": torch.__version__, "threads": torch.get_num_threads(), **where, **self.detail}

    def prove(self, inputs: Arrays) -> Proof:
        from bench.runtimes.torch.proof import UNKNOWN, kernels, profiled, read_trace

        detail = self.proof_detail()
        trace = profiled(self.bind(inputs))
        if self.stream is not None and not kernels(trace):
            # Operators' types alone would prove too little: they do not tell TF32 from fp32.
            return Proof(UNKNOWN, detail={**detail, "why": "the profiler recorded no kernels of the GPU"})
        return read_trace(trace, detail, self.unseen)
