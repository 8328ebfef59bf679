"""From samples and ticks to the numbers of one trial. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.loop import GPU_COLUMNS
from bench.records import Latency

Samples = npt.NDArray[np.int64]
"""(requests, columns), in order, ns: what `loop.py` recorded, with two columns on a CPU and four on a GPU."""
START, END, GPU, QUEUEING = range(GPU_COLUMNS)
"""The columns."""


@dataclass(frozen=True)
class Window:
    """The time in which all tenants were measuring, and what each did in it.

    queueing_ns: on a GPU, how long the host took to queue each request; () on a CPU."""

    start_ns: int
    end_ns: int
    latencies_ns: tuple[npt.NDArray[np.int64], ...]
    spans_ns: tuple[int, ...]
    """Per tenant: from the begin of its first counted request to the end of its last."""
    queueing_ns: tuple[npt.NDArray[np.int64], ...] = ()

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def requests(self) -> tuple[int, ...]:
        return tuple(len(latencies) for latencies in self.latencies_ns)


def common_window(tenants: Sequence[Samples], from_ns: int, neighbours: Sequence[Samples] = ()) -> Window:
    """From `from_ns` (or the latest start after it) to the earliest end. Neighbours are not counted, but must be
    running: from their first request to the end of their last."""
    starts = [int(inside[0]) for samples in tenants if len(inside := samples[samples[:, START] >= from_ns, START])]
    start_ns = max(starts, default=from_ns)
    start_ns = max([start_ns, *(int(samples[0, START]) for samples in neighbours)])
    end_ns = max(start_ns, min(int(samples[-1, END]) for samples in (*tenants, *neighbours)))
    return cut(tenants, start_ns, end_ns)


def cut(tenants: Sequence[Samples], start_ns: int, end_ns: int) -> Window:
    """The requests that began and ended inside that time."""
    counted = [samples[(samples[:, START] >= start_ns) & (samples[:, END] <= end_ns)] for samples in tenants]
    return Window(
        start_ns,
        end_ns,
        latencies_ns=tuple(latencies_ns(samples) for samples in counted),
        spans_ns=tuple(int(samples[-1, END] - samples[0, START]) if len(samples) else 0 for samples in counted),
        queueing_ns=tuple(samples[:, QUEUEING] for samples in counted if _on_a_gpu(samples)),
    )


def _on_a_gpu(samples: Samples) -> bool:
    return bool(samples.shape[1] == GPU_COLUMNS)


def latencies_ns(samples: Samples) -> npt.NDArray[np.int64]:
    """On a GPU what it took by its own clock, else by the host's."""
    return samples[:, GPU] if _on_a_gpu(samples) else samples[:, END] - samples[:, START]


def queueing_share(window: Window) -> float:
    """Of the requests' time, how much the host needed to queue them; the tenant that needed most. Towards 1 the GPU
    waits for the host: the model is bound by it. NaN on a CPU, or without requests."""
    shares = [
        float(queueing.sum() / latencies.sum())
        for queueing, latencies in zip(window.queueing_ns, window.latencies_ns, strict=False)
        if latencies.sum()
    ]
    return max(shares, default=math.nan)


def throughput_per_s(window: Window, batch_size: int) -> tuple[float, ...]:
    """Items per second of each tenant: its requests over the time from the first's begin to the last's end.

    A window cuts through a tenant's first and last request; dividing whole requests by the whole window would lose
    up to one request per tenant, which is a lot for slow models."""
    pairs = zip(window.requests, window.spans_ns, strict=True)
    return tuple(rate_per_s(batch_size, requests, span_ns) for requests, span_ns in pairs)


def rate_per_s(batch_size: int, requests: int, span_ns: int) -> float:
    """Items per second of so many requests in that time; 0 without any."""
    return batch_size * requests / (span_ns / 1e9) if span_ns else 0.0


def latency(window: Window) -> Latency | None:
    """Milliseconds per request over all tenants."""
    return _quantiles(np.concatenate(window.latencies_ns))


def tenant_latencies(window: Window) -> tuple[Latency, ...]:
    """The same of each tenant: tails are judged one process at a time. Empty when a tenant finished no request."""
    each = [_quantiles(latencies_ns) for latencies_ns in window.latencies_ns]
    return tuple(found for found in each if found) if all(each) else ()


def wall_p99_ms(tenants: Sequence[Samples], window: Window) -> tuple[float, ...]:
    """On a GPU, of each tenant: p99 of what the host saw, which counts the wait for a turn on a GPU that is shared.
    () on a CPU, or where a tenant finished no request."""
    found = []
    for samples in tenants:
        inside = samples[(samples[:, START] >= window.start_ns) & (samples[:, END] <= window.end_ns)]
        if not len(inside) or not _on_a_gpu(samples):
            return ()
        found.append(float(np.quantile(inside[:, END] - inside[:, START], 0.99)) / 1e6)
    return tuple(found)


def _quantiles(latencies_ns: npt.NDArray[np.int64]) -> Latency | None:
    if not len(latencies_ns):
        return None
    p50, p90, p95, p99 = np.quantile(latencies_ns, (0.5, 0.9, 0.95, 0.99)) / 1e6
    return Latency(p50=p50, p90=p90, p95=p95, p99=p99, mean=latencies_ns.mean() / 1e6)


def column(report: Mapping[str, Any], subject: str, metric: str) -> list[float]:
    """Values of one telemetry column; empty when it is absent."""
    for found in report["columns"]:
        if found["subject"] == subject and found["metric"] == metric:
            return [value for value in found["values"] if value is not None]
    return []


def increase(report: Mapping[str, Any], subject: str, metric: str) -> float:
    """How much a running total grew from the first tick to the last; NaN when it is absent."""
    values = column(report, subject, metric)
    return values[-1] - values[0] if len(values) > 1 else math.nan


def telemetry_columns(report: Mapping[str, Any]) -> dict[str, Any]:
    """The ticks in long form: t_ns, subject, metric, value; absent readings are left out."""
    times = report["t_ns"]
    rows = [
        (t_ns, found["subject"], found["metric"], float(value))
        for found in report["columns"]
        for t_ns, value in zip(times, found["values"], strict=True)
        if value is not None
    ]
    names = ("t_ns", "subject", "metric", "value")
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def samples_columns(tenants: Sequence[Samples], window: Window) -> dict[str, npt.NDArray[Any]]:
    """Samples of all tenants as columns: tenant, end of the request, its latency, whether it counts; on a GPU also what
    the host saw of it (`wall_ns`) and how long it took to queue it (`queueing_ns`).

    A request counts when it began and ended inside `window`, the time in which all tenants were measuring.
    """
    samples = np.concatenate(list(tenants))
    inside = (samples[:, START] >= window.start_ns) & (samples[:, END] <= window.end_ns)
    columns: dict[str, npt.NDArray[Any]] = {
        "tenant": np.repeat(np.arange(len(tenants), dtype=np.int16), [len(each) for each in tenants]),
        "end_ns": samples[:, END],
        "latency_ns": latencies_ns(samples),
        "counted": inside,
    }
    if _on_a_gpu(samples):
        columns["wall_ns"] = samples[:, END] - samples[:, START]
        columns["queueing_ns"] = samples[:, QUEUEING]
    return columns
