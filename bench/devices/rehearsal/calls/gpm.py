"""GPM: what a GPU, or one GPU instance of it, did between two samples. Hopper and newer, not for a share of a GPU."""

from __future__ import annotations

from typing import Any, NamedTuple

import pynvml

from bench.devices.rehearsal.arguments import check_version, fill, number, put_handle, referred
from bench.devices.rehearsal.driver import GPU, Driver, Thing
from bench.devices.rehearsal.instances import clients
from bench.devices.rehearsal.refusal import Refused
from bench.devices.rehearsal.state import GpuInstance

PERCENT = range(pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL, pynvml.NVML_GPM_METRIC_FP16_UTIL + 1)
TRAFFIC = (pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC, pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC)
"""Metrics that are rehearsed; the others are NOT_SUPPORTED."""


class Sample(NamedTuple):
    """of: serial of the GPU instance, 0 for the whole GPU."""

    of: int
    busy: bool


def nvmlGpmQueryDeviceSupport(driver: Driver, device: Any, support: Any) -> None:
    driver.device(device)
    asked = referred(support)
    check_version(asked, pynvml.NVML_GPM_SUPPORT_VERSION)
    fill(asked, isSupportedDevice=int(_offered(driver)))


def nvmlGpmSampleAlloc(driver: Driver, sample: Any) -> None:
    driver.last_sample += 1
    driver.samples[driver.last_sample] = None
    put_handle(sample, driver.handle(Thing("sample", driver.last_sample)))


def nvmlGpmSampleFree(driver: Driver, sample: Any) -> None:
    del driver.samples[_serial(driver, sample)]


def nvmlGpmSampleGet(driver: Driver, device: Any, sample: Any) -> None:
    """Of the GPU, or of the GPU instance that a MIG device is in."""
    thing = driver.device(device)
    _take(driver, sample, None if thing == GPU else driver.inside(thing)[0])


def nvmlGpmMigSampleGet(driver: Driver, device: Any, gpu_instance_id: Any, sample: Any) -> None:
    wanted = number(gpu_instance_id)
    found = next((one for one in driver.gpu(device).instances if one.number == wanted), None)
    if found is None:
        raise Refused("INVALID_ARGUMENT")
    _take(driver, sample, found)


def nvmlGpmMetricsGet(driver: Driver, metrics: Any) -> None:
    """Busy means 100 %, idle 0 %: placeholders, as all readings here."""
    asked = referred(metrics)
    check_version(asked, pynvml.NVML_GPM_METRICS_GET_VERSION)
    driver.refuse_lost()
    first, second = (driver.samples[_serial(driver, sample)] for sample in (asked.sample1, asked.sample2))
    if first is None or second is None or first.of != second.of:
        raise Refused("INVALID_ARGUMENT")
    for metric in asked.metrics[: asked.numMetrics]:
        if metric.metricId in PERCENT:
            fill(metric, nvmlReturn=0, value=100.0 if first.busy and second.busy else 0.0)
        elif metric.metricId in TRAFFIC:
            fill(metric, nvmlReturn=0, value=0.0)
        else:
            fill(metric, nvmlReturn=Refused("NOT_SUPPORTED").code)


def _offered(driver: Driver) -> bool:
    return driver.model.architecture in ("hopper", "blackwell") and not driver.state.faults.vgpu


def _serial(driver: Driver, sample: Any) -> int:
    serial = driver.thing(sample, "sample").serial
    if serial not in driver.samples:
        raise Refused("INVALID_ARGUMENT")
    return serial


def _take(driver: Driver, sample: Any, instance: GpuInstance | None) -> None:
    if not _offered(driver):
        raise Refused("NOT_SUPPORTED")
    state, _ = driver.sense()
    if instance is None:
        busy = bool(clients(state))
    else:
        busy = any(clients(state, state.mig_uuid(instance, inner)) for inner in instance.compute_instances)
    serial = _serial(driver, sample)
    driver.samples[serial] = Sample(instance.serial if instance else 0, busy)
