"""An NVIDIA GPU as its driver tells of it.

Subjects: "gpu" is the board, "gi<N>" a MIG GPU instance, "tenant<N>" a process, "nvml" what the calls themselves took.
NVML is open for one trial only: a session that stays open keeps a GPU from changing its MIG mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from bench.contract import BOARD, Device, GpuAddress, Reading, TelemetryReader, TelemetrySource, Watched, plugin
from bench.devices import nvml
from bench.errors import ConfigError
from bench.telemetry.nvml_board import FIELDS, SLOW_FIELDS, Fields, every_tick, limits, now_and_then
from bench.telemetry.nvml_calls import Calls, Part, Rarely
from bench.telemetry.nvml_gpm import Gpm
from bench.telemetry.nvml_processes import Census
from bench.telemetry.nvml_slices import LayoutChanged, Slices

LOOK_INTERVAL_S = 1.0
"""Between two looks at what changes slowly or is dear to ask: listing processes took 4.5 ms where it was measured
(MangoHud, pull request 2104)."""
FIRST_PAUSE_S = 0.04
"""Less than a tick: what is cheap is read in the ticks at 0, 0.1, 0.2, 0.4, 0.8 s and so on."""


class NvmlReader(TelemetryReader):
    """One trial's readings. `once`: told in the first tick only; a finding in it can be that there is nothing to read.
    That the GPU is lost, or laid out anew, is told once, and then it is not asked again."""

    def __init__(self, calls: Calls, once: Sequence[Reading], parts: Sequence[Part], open_things: ExitStack) -> None:
        self._calls = calls
        self._once = once
        self._parts = parts
        self._open_things = open_things

    def read(self) -> Iterator[Reading]:
        for reading in self._read():
            if math.isfinite(reading[2]):
                yield reading

    def _read(self) -> Iterator[Reading]:
        yield from self._once
        self._once = ()
        try:
            for part in self._parts:
                yield from part.read()
        except nvml.GpuLost:
            self._parts = ()
            yield BOARD, "lost", 1.0
        except LayoutChanged:
            self._parts = ()
            yield BOARD, "layout_changed", 1.0
        yield from self._calls.spent()

    def close(self) -> None:
        self._parts = ()
        self._open_things.close()


@plugin
class Nvml(TelemetrySource):
    """NVML as a source. What a GPU, its driver or its partition does not offer is absent."""

    def infeasible(self, device: Device) -> str | None:
        return None if device.gpu else "NVML tells of NVIDIA GPUs, and this device is a CPU"

    def open(self, tenants: Mapping[str, Watched], board: GpuAddress | None) -> NvmlReader:
        assert board is not None, "infeasible on a CPU"
        with ExitStack() as things:
            calls = Calls(things.enter_context(nvml.session(board.driver)))
            try:
                once, parts = _opened(calls, board, tenants, things)
            except nvml.GpuLost:
                once, parts = [(BOARD, "lost", 1.0)], []
            except LayoutChanged:
                once, parts = [(BOARD, "layout_changed", 1.0)], []
            return NvmlReader(calls, once, parts, things.pop_all())


def _opened(
    calls: Calls, board: GpuAddress, tenants: Mapping[str, Watched], things: ExitStack
) -> tuple[list[Reading], list[Part]]:
    """What is told once, and what is read from then on. Handles are looked up here, once a trial: one layout."""
    handle = calls.session.device(board.uuid)
    devices = _mig_devices(calls, tenants)
    gpm = Gpm(calls, handle, tuple(devices))
    things.callback(gpm.close)
    slices = Slices(calls, handle, devices)
    census = Census(calls, handle, devices, tenants)
    parts: list[Part] = [
        Fields(calls, handle, FIELDS),
        every_tick(calls, handle),
        Rarely(LOOK_INTERVAL_S, Fields(calls, handle, SLOW_FIELDS), now_and_then(calls, handle), first_s=FIRST_PAUSE_S),
        Rarely(LOOK_INTERVAL_S, slices, gpm, census),
    ]
    return [*limits(calls, handle), *slices.sizes()], parts


def _mig_devices(calls: Calls, tenants: Mapping[str, Watched]) -> dict[int, Any]:
    """Handle of a MIG device in each GPU instance that has tenants. Raises LayoutChanged where one is not there."""
    uuids = {tenant.gpu_instance: tenant.gpu for tenant in tenants.values() if tenant.gpu}
    try:
        return {number: calls.session.device(uuid) for number, uuid in uuids.items() if number is not None}
    except ConfigError as error:
        raise LayoutChanged from error
