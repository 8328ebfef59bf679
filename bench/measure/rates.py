"""(builder) What a slot reaches at most.

Large square matrix products are the best that libraries can do with the units that multiply. The best of many short
runs at several sizes is taken, because a ceiling must not be too low.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from bench import clock
from bench.contract import Slot
from bench.runtimes.cuda_slot import CUDA_DEVICE, CudaPlace, on_slot, set_fp32

CPU_SIZES = (256, 1024, 1536)
GPU_SIZES = (2048, 4096, 8192)
EACH_S = 0.1
"""How long each size of each product is tried. A core needs tens of milliseconds to come up to speed."""
LEAST_RUNS, MOST_RUNS = 3, 1000
MOST_S = 1.0
"""A size at which one product would take longer than this is left out: it is computed by emulation."""
NATIVE = 1.5
"""A CPU that multiplies a narrow type natively does so about twice as fast as fp32, or faster. Slower than this, torch
widens it, and another library may have a kernel for it that is really fast: no ceiling."""
LEAST_ARRAY_BYTES = 2**28
ARRAY_OF_L2 = 16
"""The arrays by which bandwidth is measured, in sizes of the cache that they must not fit."""

Call = Callable[[], Any]
Product = Callable[[int], Call]
"""Of a size: the call that multiplies two matrices of that size."""
Timer = Callable[[Call], float]
"""The shortest of several calls, seconds."""


def measure(slot: Slot) -> dict[str, Any]:
    """What `Ceilings` holds, and the seconds that measuring took after torch was imported."""
    import torch  # noqa: F401 - importing it is no part of the time that is told

    started_ns = clock.now_ns()
    with on_slot(slot) as place:
        found = _cuda(place) if isinstance(place, CudaPlace) else _cpu()
    return {**found, "measure_s": clock.seconds(clock.now_ns() - started_ns)}


def _cpu() -> dict[str, Any]:
    """Of one thread. No bandwidth: a cache whose share of one thread is not known stands before the memory."""
    import torch

    torch.set_num_threads(1)
    products = {
        "fp32": _plain(torch.float32, "cpu"),
        "bf16": _plain(torch.bfloat16, "cpu"),
        "fp16": _plain(torch.float16, "cpu"),
        "int8": _int8("cpu"),
    }
    rates = {name: best_rate(product, CPU_SIZES, host_seconds) for name, product in products.items()}
    native = {name: rate for name, rate in rates.items() if rate > (0 if name == "fp32" else NATIVE * rates["fp32"])}
    return {"flop_per_s": native, "bytes_per_s": math.nan, "l2_bytes": math.nan}


def _cuda(place: CudaPlace) -> dict[str, Any]:
    import torch

    timer = _stream_timer(place)
    rates: dict[str, float] = {}

    def note(name: str, product: Product) -> None:
        rates[name] = max(rates.get(name, 0.0), best_rate(product, GPU_SIZES, timer))

    capability = torch.cuda.get_device_capability()
    note("fp32", _plain(torch.float32, CUDA_DEVICE))
    note("fp16", _plain(torch.float16, CUDA_DEVICE))
    # Some GPUs sum in fp16 twice as fast, and libraries other than torch do so unasked.
    torch.backends.cuda.matmul.allow_fp16_accumulation = True
    note("fp16", _plain(torch.float16, CUDA_DEVICE))
    if capability >= (7, 5):
        note("int8", _int8(CUDA_DEVICE))
    if capability >= (8, 0):
        note("bf16", _plain(torch.bfloat16, CUDA_DEVICE))
        set_fp32("tf32")
        note("tf32", _plain(torch.float32, CUDA_DEVICE))
    if capability >= (8, 9):
        note("fp8", _fp8)
    l2_bytes = place.stream.l2_bytes
    return {
        "flop_per_s": {name: rate for name, rate in rates.items() if rate},
        "bytes_per_s": _bytes_per_s(l2_bytes, timer),
        "l2_bytes": l2_bytes,
    }


# --- what is timed ---


def _plain(dtype: Any, device: str) -> Product:
    import torch

    def product(size: int) -> Call:
        a, b, out = (torch.randn(size, size, device=device).to(dtype) for _ in range(3))
        return lambda: torch.mm(a, b, out=out)

    return product


def _int8(device: str) -> Product:
    """The right matrix lies in columns, as the kernels of GPUs want it."""
    import torch

    def product(size: int) -> Call:
        a, b = (torch.randint(-8, 8, (size, size), dtype=torch.int8, device=device) for _ in range(2))
        out = torch.empty(size, size, dtype=torch.int32, device=device)
        return lambda: torch._int_mm(a, b.t(), out=out)

    return product


def _fp8(size: int) -> Call:
    import torch

    a, b = (torch.randn(size, size, device=CUDA_DEVICE).to(torch.float8_e4m3fn) for _ in range(2))
    one = torch.ones((), device=CUDA_DEVICE)
    options = {"scale_a": one, "scale_b": one, "out_dtype": torch.bfloat16, "use_fast_accum": True}
    return lambda: torch._scaled_mm(a, b.t(), **options)


def _bytes_per_s(l2_bytes: int, timer: Timer) -> float:
    """The better of copying and of reading alone, which need not turn the memory around."""
    import torch

    free_bytes = torch.cuda.mem_get_info()[0]
    values = min(max(ARRAY_OF_L2 * l2_bytes, LEAST_ARRAY_BYTES), free_bytes // 4) // 4
    source, target = (torch.zeros(values, device=CUDA_DEVICE) for _ in range(2))
    array_bytes = float(source.numel() * source.element_size())
    return max(2 * array_bytes / timer(lambda: target.copy_(source)), array_bytes / timer(source.sum))


# --- timing ---


def best_rate(product: Product, sizes: Sequence[int], timer: Timer) -> float:
    """Operations per second, two per multiply-add; 0 where not even the smallest size can be multiplied."""
    best = 0.0
    for size in sizes:
        operations = 2 * size**3
        if best and operations / best > MOST_S:
            break
        try:
            best = max(best, operations / timer(product(size)))
        except RuntimeError:  # no kernel for this type, or no memory for this size
            break
    return best


def host_seconds(call: Call) -> float:
    """By the host's clock: on a CPU, a call is over when it returns."""
    durations_ns: list[int] = []
    while len(durations_ns) < LEAST_RUNS or sum(durations_ns) < EACH_S * clock.NS_PER_S:
        started_ns = clock.now_ns()
        call()
        durations_ns.append(clock.now_ns() - started_ns)
    return clock.seconds(min(durations_ns))


def _stream_timer(place: CudaPlace) -> Timer:
    stream = place.stream

    def seconds(call: Call) -> float:
        """By the GPU's clock. All runs are queued before the first is waited for, so that no launch stands between two
        events."""
        call()
        stream.wait()
        started_ns = clock.now_ns()
        call()
        stream.wait()
        once_s = clock.seconds(clock.now_ns() - started_ns)
        runs = min(MOST_RUNS, max(LEAST_RUNS, round(EACH_S / once_s)))
        events = [stream.event()]
        events[0].record()
        for _ in range(runs):
            call()
            events.append(stream.event())
            events[-1].record()
        stream.wait()
        return min(first.elapsed_time(second) for first, second in pairwise(events)) / 1000

    return seconds
