"""Traces made up in the form of torch's profiler on a GPU."""

from __future__ import annotations

from typing import Any


class Made:
    """Operators one after the other on one thread; each kernel takes 10 us, and the second of an operator 100."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.now_us = 1000

    @property
    def trace(self) -> dict[str, Any]:
        return {"traceEvents": self.events}

    def operator(
        self,
        name: str,
        dtype: str,
        kernels: list[str],
        inside: tuple[str, str, list[str]] | None = None,
        launch_tid: int = 1,
    ) -> Made:
        """`inside`: another operator that this one calls."""
        begin_us, types = self.now_us, ["", dtype, dtype]
        for index, kernel in enumerate(kernels):
            self.kernel(kernel, 100 if index == 1 else 10, launch_tid)
        if inside:
            self.operator(*inside)
        self.now_us += 10
        args = {"External id": len(self.events), "Input type": types}
        self.events.append(
            {"cat": "cpu_op", "name": name, "tid": 1, "ts": begin_us, "dur": self.now_us - begin_us - 1, "args": args}
        )
        return self

    def kernel(self, name: str, dur_us: int = 10, launch_tid: int = 1) -> Made:
        """A kernel with its launch."""
        self.now_us += 2
        link = {"correlation": 5000 + len(self.events)}
        launch = {"cat": "cuda_runtime", "name": "cudaLaunchKernel", "tid": launch_tid, "ts": self.now_us, "dur": 1}
        ran = {"cat": "kernel", "name": name, "tid": 7, "ts": self.now_us + 50, "dur": dur_us}
        self.events += [{**launch, "args": link}, {**ran, "args": link}]
        return self

    def replay(self, kernels: list[str]) -> Made:
        """All kernels by one launch of a CUDA graph, in no operator."""
        link = {"correlation": 5000 + len(self.events)}
        launch = {"cat": "cuda_runtime", "name": "cudaGraphLaunch", "tid": 1, "ts": self.now_us, "dur": 1}
        self.events.append({**launch, "args": link})
        for name in kernels:
            self.now_us += 2
            ran = {"cat": "kernel", "name": name, "tid": 7, "ts": self.now_us, "dur": 10}
            self.events.append({**ran, "args": link})
        return self
