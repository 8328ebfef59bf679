"""Where a tenant's torch executes: on the CPU, on the one GPU that its slot shows it, or on a share of that GPU.

    with on_slot(slot) as place:
        model = place.put(model)

A green context is made by torch (torch.cuda.green_contexts); how the device can be divided, and what the context then
really holds, is asked of the CUDA driver (cuda.bindings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

from bench.contract import Device, Slot

CUDA_DEVICE = "cuda:0"
"""CUDA_VISIBLE_DEVICES names exactly one."""
ROUNDING = 1e-6
"""16 / 132 of 132 are 16, also in floating point."""
WITHOUT_CUDA = ("cpu", "rocm", "xpu")
"""How the local part of the version of a torch without CUDA begins ("2.13.0+cpu")."""


class Place:
    """The CPU: everything stays where it is, and a call is finished when it returns."""

    kind = "cpu"

    def put(self, value: Any) -> Any:
        """A model or a tensor, moved here."""
        return value

    def finished(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """The same call, which returns only when its work is finished."""
        return call

    def detail(self) -> dict[str, Any]:
        """For the proof: where it really executes, read now."""
        return {"device": "cpu"}


@dataclass(frozen=True)
class CudaPlace(Place):
    """A GPU or a MIG device. `green`: a green context is current."""

    kind = "cuda"

    green: bool

    def put(self, value: Any) -> Any:
        return value.to(CUDA_DEVICE)

    def finished(self, call: Callable[[], Any]) -> Callable[[], Any]:
        from torch.cuda import synchronize

        def call_and_wait() -> Any:
            result = call()
            synchronize()
            return result

        return call_and_wait

    def detail(self) -> dict[str, Any]:
        import torch

        device = torch.cuda.get_device_properties(CUDA_DEVICE)
        held = sm_resource().count if self.green else device.multi_processor_count
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
def on_slot(slot: Slot) -> Iterator[Place]:
    """What is loaded and called in this context executes where the slot says, fp32 as fp32."""
    if slot.executes_on == "cpu":
        yield Place()
        return
    import torch

    if torch.cuda.device_count() != 1:
        raise RuntimeError(f"torch should see the one GPU of this slot, and sees {torch.cuda.device_count()}")
    ieee_fp32()
    torch.cuda.synchronize()  # makes the primary context, from which a green one is made
    if slot.sm_share is None:
        yield CudaPlace(green=False)
        return
    with _green_context(slot.sm_share):
        yield CudaPlace(green=True)


def ieee_fp32() -> None:
    """No TF32: convolutions would use it by default. Set for each kind, for a setting of one outranks that of all."""
    import torch

    torch.backends.fp32_precision = "ieee"
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    torch.backends.cudnn.rnn.fp32_precision = "ieee"


def torch_infeasible(device: Device) -> str | None:
    """(conductor) Why the installed torch cannot execute on this device; None if it can. It is not imported."""
    if device.executes_on == "cpu":
        return None
    version = metadata.version("torch")
    if version.partition("+")[2].startswith(WITHOUT_CUDA):
        return f"the installed torch {version} has no CUDA"
    return None


# --- green contexts ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SmResource:
    """Multiprocessors, and how they can be divided: at least `minimum` together, in steps of `alignment`."""

    count: int
    minimum: int
    alignment: int


def green_sms(share: float, total: int, minimum: int, alignment: int) -> int:
    """How many of `total` multiprocessors `share` is, rounded down to what the device can divide.

    Raises ValueError where that is less than the smallest part."""
    exactly = share * total + ROUNDING
    count = int(exactly) // alignment * alignment
    if count < minimum:
        raise ValueError(f"{share:.3g} of {total} multiprocessors is less than the {minimum} that can be set apart")
    return count


def sm_resource() -> SmResource:
    """Of the current CUDA context: of the whole device in its primary context, of its part in a green one."""
    driver = _driver()
    context = _checked(driver, driver.cuCtxGetCurrent())
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    resource = _checked(driver, driver.cuCtxGetDevResource(context, kind)).sm
    return SmResource(resource.smCount, resource.minSmPartitionSize, resource.smCoscheduledAlignment)


def _driver() -> Any:
    try:
        return import_module("cuda.bindings.driver")
    except ModuleNotFoundError as error:
        raise RuntimeError("a green context needs cuda-bindings, which is not installed") from error


def _checked(driver: Any, answer: tuple[Any, Any]) -> Any:
    """The value in an answer of cuda.bindings, (result, value)."""
    result, value = answer
    if result != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"the CUDA driver says {result.name}")
    return value


@contextmanager
def _green_context(share: float) -> Iterator[None]:
    from torch.cuda.green_contexts import GreenContext

    whole = sm_resource()
    wanted = green_sms(share, whole.count, whole.minimum, whole.alignment)
    context = GreenContext.create(num_sms=wanted, device_id=0)
    context.set_context()
    try:
        got = sm_resource().count
        if got != wanted:
            raise RuntimeError(f"asked for a green context of {wanted} multiprocessors, got one of {got}")
        yield
    finally:
        context.pop_context()
