"""Does bench time what others time? Its loops against torch.utils.benchmark and triton.testing.do_bench, in turns.

    python -m scripts.acceptance.fidelity cuda|cpu ROUNDS [GPU-...]

On the device that bench chooses for gpu= and gpu.device=. Prints JSON: for each specimen and reference the median over
rounds of bench's median over the reference's. Exits with 1 when one is more than 1 % off.
"""

from __future__ import annotations

import json
import os
import sys
from array import array
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from bench import clock
from bench.contract import Recipe, Requests, Slot, importable
from bench.devices.select import find_device
from bench.errors import BenchError
from bench.measure.bound import BoundRequests
from bench.measure.loop import samples_for
from bench.measure.summary import latencies_ns
from bench.partitions.sharing import gpu_slot
from bench.runtimes.cuda_slot import on_slot
from bench.runtimes.torch.model import InputForm
from workloads.glyphs import Glyphs

TURN_S = 0.5
LIMIT = 0.01
KERNEL_SIZE = 4096
"""Of a square matrix product in fp16 on a GPU."""
COLD_SIZE = 16384
"""The cache is emptied, and waited for, before bench's first event: between bench's events the GPU waits until the host
has launched the product, and between those of others it does not. Only in a long product that is far below LIMIT."""
CPU_SIZE = 512

Specimen = tuple[str, Callable[[], Any], Requests]


def main(kind: str, rounds: int, gpu: str | None = None) -> int:
    slot = slot_of(kind, gpu)
    os.environ.update(slot.env)  # before CUDA looks: it must see that one GPU
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with on_slot(slot) as place, torch.inference_mode():
        for name, call, requests in _specimens(place):
            issue = BoundRequests([call], place.stream, requests, 0)
            for against, reference in _references(call, place.stream is not None, requests).items():
                ratios = [_ratio(issue, reference, first=bool(number % 2)) for number in range(rounds)]
                found[f"{name} / {against}"] = {"ratio": median(ratios), "ratios": ratios}
        found["device"] = place.detail()["device"]
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    off = [name for name, value in found.items() if name != "device" and abs(value["ratio"] - 1) > LIMIT]
    for name in off:
        print(f"{name}: {found[name]['ratio']:.4f}, which is more than {LIMIT:.0%} off", file=sys.stderr)
    return 1 if off else 0


def slot_of(kind: str, gpu: str | None) -> Slot:
    """The whole of the device that bench's gpu=KIND and gpu.device=GPU choose."""
    device = find_device({"kind": kind, "device": gpu})
    return gpu_slot(device, 0, tenants=1) if device.gpu else Slot(index=0, threads=1)


def _specimens(place: Any) -> list[Specimen]:
    """A model back to back, and one kernel with a cold cache, which is what the references measure."""
    import torch

    glyphs = Glyphs()
    model = Recipe(glyphs).model(place.put)
    form = InputForm.of(model)
    tensors = {name: place.put(tensor) for name, tensor in form.tensors(glyphs.inputs(1024, 0)).items()}
    on_gpu = place.stream is not None

    def product(size: int, dtype: torch.dtype) -> Callable[[], Any]:
        left, right = (place.put(torch.rand(size, size, dtype=torch.float32).to(dtype)) for _ in range(2))
        return lambda: torch.mm(left, right)

    back_to_back = Requests(back_to_back=True)
    found: list[Specimen] = [("glyphs, batch 1024", lambda: model(**tensors), back_to_back)]
    if not on_gpu:
        return [*found, (f"matrix product of {CPU_SIZE}", product(CPU_SIZE, torch.float32), back_to_back)]
    return [
        *found,
        (f"matrix product of {KERNEL_SIZE}", product(KERNEL_SIZE, torch.float16), back_to_back),
        (f"matrix product of {COLD_SIZE}, cold", product(COLD_SIZE, torch.float16), Requests(cold=True)),
    ]


def _references(call: Callable[[], Any], on_gpu: bool, requests: Requests) -> dict[str, Callable[[], float]]:
    """By name: a measurement that gives its median in nanoseconds."""
    from torch.utils import benchmark

    if requests.cold:
        if not importable("triton"):
            return {}
        from triton.testing import do_bench  # type: ignore[import-not-found,unused-ignore]

        return {"triton.testing.do_bench": lambda: do_bench(call, rep=1000 * TURN_S, return_mode="median") * 1e6}

    timer = benchmark.Timer("call()", globals={"call": call}, num_threads=1)
    return {"torch.utils.benchmark": lambda: timer.blocked_autorange(min_run_time=TURN_S).median * 1e9}


def _ratio(issue: BoundRequests, reference: Callable[[], float], first: bool) -> float:
    """bench over the other, one right after the other."""
    if first:
        ours_ns = _harness_ns(issue)
        return ours_ns / reference()
    theirs_ns = reference()
    return _harness_ns(issue) / theirs_ns


def _harness_ns(issue: BoundRequests) -> float:
    """The median that a tenant would report."""
    for call in issue.finished_calls:
        call()
    duration_ns = int(TURN_S * clock.NS_PER_S)
    samples: array[int] = samples_for(duration_ns, 20_000.0, issue.columns)
    count = issue.record(samples, clock.now_ns() + duration_ns)
    rows = np.frombuffer(samples, dtype=np.int64, count=count * issue.columns).reshape(-1, issue.columns)
    return float(np.median(latencies_ns(rows)))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
    except BenchError as error:
        sys.exit(str(error))
