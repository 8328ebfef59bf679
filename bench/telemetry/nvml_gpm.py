"""GPM: what a GPU, or each GPU instance under MIG, was busy with. Hopper and newer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.contract import BOARD, Reading
from bench.devices.nvml import GpuLost, NvmlError
from bench.telemetry.nvml_calls import Calls, instance

PERCENT = 0.01
MIB = 2.0**20
METRICS: dict[str, tuple[str, float]] = {
    "NVML_GPM_METRIC_GRAPHICS_UTIL": ("graphics_active_share", PERCENT),
    "NVML_GPM_METRIC_SM_UTIL": ("sm_active_share", PERCENT),
    "NVML_GPM_METRIC_SM_OCCUPANCY": ("sm_occupancy_share", PERCENT),
    "NVML_GPM_METRIC_ANY_TENSOR_UTIL": ("tensor_active_share", PERCENT),
    "NVML_GPM_METRIC_DRAM_BW_UTIL": ("dram_active_share", PERCENT),
    "NVML_GPM_METRIC_PCIE_TX_PER_SEC": ("pcie_sent_bytes_per_s", MIB),
    "NVML_GPM_METRIC_PCIE_RX_PER_SEC": ("pcie_received_bytes_per_s", MIB),
}


class Gpm:
    """Activity between this reading and the one before, which must be 0.1 s ago at least (nvml.h). With MIG off of the
    whole GPU, else of `instances`, which are GPU instances, not compute instances: GPM knows no smaller unit."""

    def __init__(self, calls: Calls, board: Any, instances: Sequence[int]) -> None:
        self._calls = calls
        self._board = board
        self._free: list[Any] = []
        self._last: dict[int | None, Any] = {}
        support = calls.ask("nvmlGpmQueryDeviceSupport", board)
        offered = support is not None and bool(support.isSupportedDevice)
        self._places: list[int | None] = [*(instances or (None,))] if offered else []
        self._request = calls.pynvml.c_nvmlGpmMetricsGet_t()
        self._metrics = {getattr(calls.pynvml, name): metric for name, metric in METRICS.items()}

    def read(self) -> Iterator[Reading]:
        for place in tuple(self._places):
            sample = self._taken(place)
            if sample is None:
                self._places.remove(place)
                continue
            before = self._last.get(place)
            self._last[place] = sample
            if before is not None:
                self._free.append(before)
                yield from self._between(place, before, sample)

    def close(self) -> None:
        """Free all samples: a GPU instance cannot be destroyed while one of it is held."""
        for sample in (*self._free, *self._last.values()):
            self._calls.ask("nvmlGpmSampleFree", sample)
        self._free.clear()
        self._last.clear()
        self._places.clear()

    def _taken(self, place: int | None) -> Any | None:
        """A new sample; None where it is not offered, or the GPU instance is gone."""
        sample = self._free.pop() if self._free else self._calls.ask("nvmlGpmSampleAlloc")
        if sample is None:
            return None
        try:
            if place is None:
                taken = self._calls.ask("nvmlGpmSampleGet", self._board, sample)
            else:
                taken = self._calls.ask("nvmlGpmMigSampleGet", self._board, place, sample)
        except GpuLost:
            self._free.append(sample)
            raise
        except NvmlError:  # the GPU instance is gone; that the layout changed is told elsewhere
            taken = None
        if taken is None:
            self._free.append(sample)
        return taken

    def _between(self, place: int | None, before: Any, now: Any) -> Iterator[Reading]:
        request = self._request
        request.version = self._calls.pynvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(self._metrics)
        request.sample1, request.sample2 = before, now
        for index, number in enumerate(self._metrics):
            request.metrics[index].metricId = number
        told = self._calls.ask("nvmlGpmMetricsGet", request)
        if told is None:
            return
        subject = BOARD if place is None else instance(place)
        for entry in told.metrics[: len(self._metrics)]:
            if entry.nvmlReturn == 0:
                metric, unit = self._metrics[entry.metricId]
                yield subject, metric, entry.value * unit
