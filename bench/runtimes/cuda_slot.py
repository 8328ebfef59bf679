"""Where a tenant executes: on the CPU, on the one GPU that its slot shows it, or on a share of that GPU.

    with on_slot(slot) as place:
        model = place.put(model)

Every runtime that uses a GPU goes through here, also those that are not torch's: streams, events and memory are
torch's, so that there is one way in which work is queued, timed and kept inside its slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from bench.contract import Event, Slot, Stream
from bench.runtimes.green_context import Green, green_context

CUDA_DEVICE = "cuda:0"
"""CUDA_VISIBLE_DEVICES names exactly one."""

Fp32Precision = Literal["ieee", "tf32"]


class Place:
    """The CPU: everything stays where it is, and a call is finished when it returns."""

    kind: ClassVar[str] = "cpu"

    @property
    def stream(self) -> Stream | None:
        """Where work is queued; None: nowhere."""
        return None

    def put(self, value: Any) -> Any:
        """A model or a tensor, moved here."""
        return value

    def detail(self) -> dict[str, Any]:
        """For the proof: where it really executes, read now."""
        return {"device": "cpu"}


@dataclass(frozen=True)
class CudaStream(Stream):
    """`torch_stream` is the current stream of this process. `green`: the context that it belongs to; None: the
    device's own."""

    torch_stream: Any
    l2_bytes: int
    green: Green | None = None

    @property
    def handle(self) -> int:
        """The cudaStream_t, for libraries that are not torch."""
        return int(self.torch_stream.cuda_stream)

    def event(self) -> Event:
        from torch.cuda import Event as CudaEvent

        if self.green:
            self.green.make_current()
        made: Event = CudaEvent(enable_timing=True)
        made.record()  # only now does torch make it, in the current context, which may be another one later
        return made

    def wait(self) -> None:
        self.torch_stream.synchronize()

    def flush_l2(self) -> None:
        self._scratch.zero_()

    @cached_property
    def _scratch(self) -> Any:
        import torch

        return torch.empty(2 * self.l2_bytes, dtype=torch.uint8, device=CUDA_DEVICE)


@dataclass(frozen=True)
class CudaPlace(Place):
    """A GPU or a MIG device, or a green context of one."""

    kind: ClassVar[str] = "cuda"

    queue: CudaStream

    @property
    def green(self) -> bool:
        return self.queue.green is not None

    @property
    def stream(self) -> CudaStream:
        return self.queue

    def put(self, value: Any) -> Any:
        return value.to(CUDA_DEVICE)

    def detail(self) -> dict[str, Any]:
        import torch

        device = torch.cuda.get_device_properties(CUDA_DEVICE)
        green = self.queue.green
        held = green.sm_count if green else device.multi_processor_count
        return {
            "device": device.name,
            "uuid": str(device.uuid),
            "sm_count": held,
            "sm_total": device.multi_processor_count,
            "green_context": self.green,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "fp32_precision": {
                "matmul": torch.backends.cuda.matmul.fp32_precision,
                "conv": torch.backends.cudnn.conv.fp32_precision,
            },
        }


@contextmanager
def on_slot(slot: Slot, fp32_precision: Fp32Precision = "ieee") -> Iterator[Place]:
    """What is loaded and called in this context executes where the slot says, on a stream of its own; `fp32_precision`
    is what torch makes of fp32 on a GPU."""
    if slot.executes_on == "cpu":
        yield Place()
        return
    import torch

    if torch.cuda.device_count() != 1:
        raise RuntimeError(f"torch should see the one GPU of this slot, and sees {torch.cuda.device_count()}")
    set_fp32(fp32_precision)
    torch.cuda.synchronize()  # makes the primary context, from which a green one is made
    with ExitStack() as division:
        green = division.enter_context(green_context(slot.sm_share)) if slot.sm_share else None
        # The legacy default stream waits for all others, and cannot be captured in a CUDA graph.
        stream = green.stream if green else torch.cuda.Stream()
        division.enter_context(torch.cuda.stream(stream))
        l2_bytes = torch.cuda.get_device_properties(CUDA_DEVICE).L2_cache_size
        yield CudaPlace(CudaStream(stream, l2_bytes, green))


def set_fp32(precision: Fp32Precision) -> None:
    """Convolutions would use TF32 by default. Set for each kind, for a setting of one outranks that of all; and by the
    older switches first, which torch refuses to read (Inductor reads one) where they contradict the newer ones."""
    import torch

    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.fp32_precision = precision
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision
    torch.backends.cudnn.rnn.fp32_precision = precision
