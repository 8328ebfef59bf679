"""What the operating system tells: per tenant CPU, memory and context switches; of the host the CPU time that was
used, stolen or waited for, the frequency, and the energy where the processor has RAPL counters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from bench.contract import GpuAddress, Reading, TelemetryReader, TelemetrySource, Watched, plugin

PRESSURE = Path("/proc/pressure/cpu")
RAPL = Path("/sys/class/powercap")
RARELY = 10
"""Ticks between two looks at a tenant's memory and switches: each is one more file to read per tenant."""
IDLE = {"idle", "iowait", "steal", "guest", "guest_nice"}
"""Fields of CPU time that are no work of this system; guest time is already within user time."""


class HostReader(TelemetryReader):
    """What is open while the sampler runs. Times are totals since boot or start: differences are what counts."""

    _ticks = 0

    def __init__(self, tenants: Mapping[str, Watched]) -> None:
        self._tenants = {}
        for subject, tenant in tenants.items():
            try:
                self._tenants[subject] = psutil.Process(tenant.pid)
            except psutil.NoSuchProcess:
                continue
        affinity = getattr(os, "sched_getaffinity", None)
        cpus = sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))
        self._cpus = cpus if len(cpus) < (os.cpu_count() or 1) else None
        self._frequency = [path for cpu in cpus if (path := _frequency_file(cpu)).exists()]
        self._energy = [RaplCounter(path) for path in RAPL.glob("intel-rapl:*/energy_uj") if os.access(path, os.R_OK)]

    def read(self) -> Iterator[Reading]:
        for subject, process in self._tenants.items():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    yield subject, "cpu_s", times.user + times.system
                    if self._ticks % RARELY == 0:
                        yield subject, "rss_bytes", float(process.memory_info().rss)
                        switches = process.num_ctx_switches()
                        yield subject, "voluntary_switches", float(switches.voluntary)
                        yield subject, "involuntary_switches", float(switches.involuntary)
            except psutil.Error:
                continue  # it ended: its column has a gap from here on
        self._ticks += 1
        yield from self._host()

    def _host(self) -> Iterator[Reading]:
        used = psutil.cpu_times(percpu=True) if self._cpus is not None else [psutil.cpu_times()]
        chosen = [used[cpu] for cpu in self._cpus] if self._cpus is not None else used
        yield (
            "host",
            "busy_s",
            sum(getattr(times, name) for times in chosen for name in times._fields if name not in IDLE),
        )
        if hasattr(chosen[0], "steal"):
            yield "host", "steal_s", sum(times.steal for times in chosen)
        if PRESSURE.exists():
            some = PRESSURE.read_text().split("\n", 1)[0]
            yield "host", "cpu_pressure_s", int(some.rsplit("total=", 1)[1]) / 1e6
        for path in self._frequency:
            yield path.parent.parent.name, "frequency_hz", float(path.read_text()) * 1e3
        for counter in self._energy:
            yield counter.subject, "energy_j", counter.total_j()


class RaplCounter:
    """One energy counter. It wraps after minutes at full power; the total does not."""

    def __init__(self, path: Path) -> None:
        self.subject = path.parent.name
        self._path = path
        self._range_uj = int((path.parent / "max_energy_range_uj").read_text())
        self._last_uj = int(path.read_text())
        self._total_uj = 0

    def total_j(self) -> float:
        """Joules since this counter was opened."""
        now_uj = int(self._path.read_text())
        self._total_uj += (now_uj - self._last_uj) % self._range_uj
        self._last_uj = now_uj
        return self._total_uj / 1e6


@plugin
class Host(TelemetrySource):
    """The operating system as a source. What it does not tell (frequency and energy in most guests) is absent."""

    def open(self, tenants: Mapping[str, Watched], board: GpuAddress | None) -> HostReader:
        return HostReader(tenants)


def _frequency_file(cpu: int) -> Path:
    return Path(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
