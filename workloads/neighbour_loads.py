"""What `Neighbour` executes, as torch modules.

The work of each is cut into parts. A CPU does one of them per item, in turn: a few milliseconds of a core. A GPU does
all of them at once, because one alone it finishes sooner than the host can queue it.

`Bursts` reads a clock: how long a burst takes is what it is about.
"""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional

FLOAT_BYTES = 4
PRODUCTS = 16
"""Matrix products that a GPU does at once: enough tiles for all of its multiprocessors."""
TRIAD_PART_BYTES = 32 * 2**20
LINE_FLOATS = 32
"""128 bytes: a line of a GPU's cache, and the two lines that CPUs like to fetch together."""
BAGS, LINES_OF_BAG = 256, 128
"""A part gathers BAGS x LINES_OF_BAG lines and adds up those of each bag, so that little has to be written."""
TIMES_THROUGH = 8
"""How often all parts together come by each line of the table, on average."""


class Work(nn.Module):  # type: ignore[misc]
    """Does its work once per item of the batch, and returns the items."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self._next = 0

    def forward(self, item: Any) -> Any:
        for _ in range(len(item)):
            self.do_item()
        return item

    def do_item(self) -> None:
        self.do()

    def do(self) -> Any:
        """One part on a CPU, all of them on a GPU; a tensor of the result."""
        raise NotImplementedError

    def part(self, whole: Any) -> Any:
        """Of a tensor whose first axis is cut into parts: what is done now."""
        if whole.is_cuda:
            return whole
        rows = len(whole) // self.parts
        return whole[self._next * rows : (self._next + 1) * rows]

    def turn(self) -> None:
        """The next part comes next."""
        self._next = (self._next + 1) % self.parts


class Products(Work):
    """Square matrices of which three fill the working set, multiplied again and again. On a CPU it is always the first
    part, so that the working set stays what it is."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(PRODUCTS)
        n = math.isqrt(size_bytes // (3 * FLOAT_BYTES))
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("left", torch.randn(PRODUCTS * n, n, generator=generator))
        self.register_buffer("right", torch.randn(n, n, generator=generator))
        self.register_buffer("out", torch.empty(PRODUCTS * n, n))

    def do(self) -> Any:
        return torch.mm(self.part(self.left), self.right, out=self.part(self.out))


class Bursts(Products):
    """One item is a pause and a burst of products. Bursts keep a clock of their own from the first on, so that it is
    chance where a window meets them, and several neighbours do not burst in step."""

    def __init__(self, size_bytes: int, burst_ns: int, pause_s: float) -> None:
        super().__init__(size_bytes)
        self._burst_ns, self._period_ns = burst_ns, burst_ns + round(pause_s * 1e9)
        self._origin_ns: int | None = None

    def do_item(self) -> None:
        now_ns = time.perf_counter_ns()
        if self._origin_ns is None:
            self._origin_ns = now_ns
        late_ns = (now_ns - self._origin_ns) % self._period_ns
        if late_ns >= self._burst_ns:
            time.sleep((self._period_ns - late_ns) / 1e9)
            late_ns = 0
        end_ns = time.perf_counter_ns() + self._burst_ns - late_ns
        while time.perf_counter_ns() < end_ns:
            if self.do().is_cuda:
                torch.cuda.current_stream().synchronize()  # or the queue would be worked off during the pause


class Triad(Work):
    """Three arrays that together are the working set."""

    def __init__(self, size_bytes: int) -> None:
        parts = max(1, size_bytes // TRIAD_PART_BYTES)
        super().__init__(parts)
        length = size_bytes // (3 * FLOAT_BYTES * parts) * parts
        self.register_buffer("out", torch.zeros(length))
        self.register_buffer("b", torch.full((length,), 1.0))
        self.register_buffer("c", torch.full((length,), 2.0))

    def do(self) -> Any:
        out = torch.add(self.part(self.b), self.part(self.c), alpha=3.0, out=self.part(self.out))
        self.turn()
        return out


class Gather(Work):
    """A table that is the working set, and the random order in which its lines are read."""

    def __init__(self, size_bytes: int) -> None:
        lines = size_bytes // (LINE_FLOATS * FLOAT_BYTES)
        parts = max(1, TIMES_THROUGH * lines // (BAGS * LINES_OF_BAG))
        super().__init__(parts)
        generator = torch.Generator().manual_seed(0)
        order = torch.randint(lines, (parts * BAGS, LINES_OF_BAG), generator=generator, dtype=torch.int32)
        self.register_buffer("table", torch.ones(lines, LINE_FLOATS))
        self.register_buffer("order", order)

    def do(self) -> Any:
        sums = functional.embedding_bag(self.part(self.order), self.table, mode="sum")
        self.turn()
        return sums
