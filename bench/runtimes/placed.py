"""What every model on a place of torch's has in common: where its inputs go, and how they are copied there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from bench.contract import Arrays, Loaded, Stream
from bench.optimizations.calling import plain_output
from bench.runtimes.cuda_slot import Place


class Placed(Loaded):
    """Subclasses say how inputs become tensors, and how tensors become a call."""

    place: Place

    @property
    def stream(self) -> Stream | None:
        return self.place.stream

    @abstractmethod
    def host_tensors(self, inputs: Arrays) -> dict[str, Any]:
        """The inputs in the types that the model wants, in the host's memory."""

    @abstractmethod
    def call_on(self, tensors: Mapping[str, Any]) -> Callable[[], Any]:
        """A call that executes one request on these tensors, which are at the place."""

    def placed(self, inputs: Arrays) -> dict[str, Any]:
        return {name: self.place.put(tensor) for name, tensor in self.host_tensors(inputs).items()}

    def bind(self, inputs: Arrays) -> Callable[[], Any]:
        return self.call_on(self.placed(inputs))

    def bind_with_transfers(self, inputs: Arrays) -> Callable[[], Any]:
        if self.stream is None:
            return self.bind(inputs)
        sources = {name: tensor.pin_memory() for name, tensor in self.host_tensors(inputs).items()}
        targets = {name: self.place.put(tensor) for name, tensor in sources.items()}
        return between_copies(sources, targets, self.call_on(targets))


def between_copies(
    sources: Mapping[str, Any], targets: Mapping[str, Any], call: Callable[[], Any]
) -> Callable[[], Any]:
    """`call` after copying `sources` (page-locked) to `targets` (on the GPU, which `call` reads), and before copying
    its result to page-locked memory, which is what is returned. All of it is only queued."""
    import torch

    result = plain_output(call())
    kept = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
    pairs = tuple((targets[name], source) for name, source in sources.items())

    def call_between_copies() -> Any:
        for target, source in pairs:
            target.copy_(source, non_blocking=True)
        kept.copy_(plain_output(call()), non_blocking=True)
        return kept

    return call_between_copies
