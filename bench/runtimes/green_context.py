"""A CUDA green context: some of the multiprocessors, and a stream on them.

It is made by torch (torch.cuda.green_contexts); how the device can be divided, and what the context then really holds,
is asked of the CUDA driver (cuda.bindings).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

ROUNDING = 1e-6
"""16 / 132 of 132 are 16, also in floating point."""


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


@dataclass(frozen=True)
class Green:
    """A green context that exists: its stream, torch's, and its handle, the driver's.

    Libraries make the device's primary context the current one as they please (cudaSetDevice: Inductor's code, ONNX
    Runtime). That moves no work, which stays with its stream; but events are of the context in which they are made, and
    torch takes the green context for the current one when it leaves it."""

    stream: Any
    context: Any

    def make_current(self) -> None:
        driver = _driver()
        _checked(driver, driver.cuCtxSetCurrent(self.context))

    @property
    def sm_count(self) -> int:
        """Multiprocessors that it holds, asked now."""
        return sm_resource(self.context).count


def current_context() -> Any:
    driver = _driver()
    return _checked(driver, driver.cuCtxGetCurrent())


def sm_resource(context: Any) -> SmResource:
    """Of the whole device in its primary context, of its part in a green one."""
    driver = _driver()
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    resource = _checked(driver, driver.cuCtxGetDevResource(context, kind)).sm
    return SmResource(resource.smCount, resource.minSmPartitionSize, resource.smCoscheduledAlignment)


@contextmanager
def green_context(share: float) -> Iterator[Green]:
    """A new green context, which is the current context meanwhile.

    Work must be queued on this very stream: those of torch's own pool belong to the whole device, and what is queued
    (or captured) there would use all of it."""
    from torch.cuda.green_contexts import GreenContext

    whole = sm_resource(current_context())
    wanted = green_sms(share, whole.count, whole.minimum, whole.alignment)
    context = GreenContext.create(num_sms=wanted, device_id=0)
    context.set_context()
    green = Green(context.Stream(), current_context())
    try:
        if green.sm_count != wanted:
            raise RuntimeError(f"asked for a green context of {wanted} multiprocessors, got one of {green.sm_count}")
        yield green
    finally:
        green.make_current()
        context.pop_context()


def _driver() -> Any:
    try:
        return import_module("cuda.bindings.driver")
    except ModuleNotFoundError as error:
        raise RuntimeError("a green context needs cuda-bindings, which is not installed") from error


def _checked(driver: Any, answer: tuple[Any, ...]) -> Any:
    """The value in an answer of cuda.bindings, (result, value) or (result,)."""
    result, *values = answer
    if result != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"the CUDA driver says {result.name}")
    return values[0] if values else None
