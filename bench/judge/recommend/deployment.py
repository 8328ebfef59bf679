"""What has to be set up for a measured cell to run as it was measured: the seam between recommending and emitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.judge.recommend.service import Service
from bench.records import PlannedInstance

Division = Literal["full", "mig", "mps", "time_shared", "cpuset", "green_context"]


@dataclass(frozen=True)
class Deployment:
    """One cell of a run, as it has to be laid out. `service` is None where the need does not say what runs.

    tenants: that share one device. instances: the MIG instances of the layout, one for each tenant where `division` is
        mig, and the one that tenants share where mps or time_shared are `within` a slice; () without MIG.
    threads: of each tenant on the host, on as many cores: what it was measured with. cores_used: of those, by one
        tenant on average; peak_rss_bytes: of one; None: not measured. sm_share: in a green context. thread_percentage,
        memory_limit_mib: of MPS, None: none.
    devices: that are divided so, for wanted_per_s items per second of all of them (None: one, nothing is asked for).
        per_s: that one of them is planned with; None: not known.
    product: the GPU's own name, and `pci_device_id` for tools that match by it; "" and None on a CPU.
    """

    workload: str
    optimization: str
    partition: str
    division: Division
    device: str
    device_kind: Literal["cpu", "cuda"]
    tenants: int
    instances: tuple[PlannedInstance, ...] = ()
    threads: int = 1
    cores_used: float | None = None
    peak_rss_bytes: int | None = None
    sm_share: float | None = None
    thread_percentage: int | None = None
    memory_limit_mib: int | None = None
    product: str = ""
    pci_device_id: int | None = None
    service: Service | None = None
    devices: int = 1
    per_s: float | None = None
    wanted_per_s: float | None = None

    @property
    def all_tenants(self) -> int:
        """On all devices."""
        return self.tenants * self.devices
