"""MIG slices, one tenant each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

import pydantic

from bench.contract import Device, Gpu, Slot, plugin
from bench.devices import geometry
from bench.devices.geometry import Profile
from bench.devices.mig.change import Wanted
from bench.devices.mig.instances import MigDevice
from bench.errors import ConfigError
from bench.partitions.no_mig import no_mig
from bench.partitions.sharing import GpuPartition, gpu_slot


class MigPartition(GpuPartition):
    """One tenant on each MIG instance of a layout."""

    not_on_a_cpu: ClassVar[str] = (
        "MIG divides an NVIDIA GPU, and this device is a CPU: cpuset pins tenants to cores of their own"
    )

    @abstractmethod
    def kinds(self, gpu: Gpu) -> tuple[Profile, ...]:
        """Of its instances. Raises ConfigError where the GPU has none of that kind."""

    def unsuited(self, gpu: Gpu) -> str | None:
        if reason := no_mig(gpu):
            return reason
        try:
            profiles = self.kinds(gpu)
        except ConfigError as error:
            return f"{error.what}: {error.hint}"
        if geometry.place(profiles) is None:
            names = " + ".join(profile.name for profile in profiles)
            return (
                f"{names} do not fit beside each other on {gpu.product}: possible are {geometry.possible(gpu.profiles)}"
            )
        return None

    def wanted(self, gpu: Gpu) -> Wanted:
        placed = geometry.place(self.kinds(gpu))
        assert placed is not None, "an unsuited GPU has no layout"
        return Wanted(True, placed)

    def count(self, device: Device) -> int:
        assert device.gpu is not None
        return len(self.kinds(device.gpu))

    def tenant_slots(self, device: Device, slices: Sequence[MigDevice]) -> tuple[Slot, ...]:
        ordered = sorted(slices, key=lambda mig: mig.gpu_instance)
        return tuple(gpu_slot(device, index, len(ordered), mig) for index, mig in enumerate(ordered))

    def words(self, device: Device) -> str:
        assert device.gpu is not None
        profiles = self.kinds(device.gpu)
        sizes = {profile.name: f"{profile.name} ({_size(device.gpu, profile)})" for profile in profiles}
        counts = {name: sum(profile.name == name for profile in profiles) for name in sizes}
        return " + ".join(f"{count} x {sizes[name]}" for name, count in counts.items())


@plugin
class MigShare(MigPartition):
    """As many equal slices as `one_of` says, each the nearest that MIG has to 1/`one_of` of the device from below: 1/3
    is 2/7 on a GPU of seven compute slices, and 1/4 on one of four. Slices that are left over stay idle."""

    one_of: Annotated[int, pydantic.Field(ge=1, le=7, strict=True)]
    allow_reconfigure: bool | None = None

    def kinds(self, gpu: Gpu) -> tuple[Profile, ...]:
        profile = geometry.one_of(self.one_of, gpu.profiles, gpu.compute_slices)
        if profile is None or geometry.place([profile] * self.one_of) is None:
            raise ConfigError(
                f"{self.one_of} x 1/{self.one_of} cannot exist on {gpu.product}, which has {gpu.compute_slices} "
                "compute slices",
                where="partitions",
                hint=f"possible are {geometry.possible(gpu.profiles)}",
            )
        return (profile,) * self.one_of


@plugin
class MigProfiles(MigPartition):
    """One slice for each of `profiles`: kinds such as "3g" and "1g+me", or labels such as "1g.10gb", in any order."""

    profiles: Annotated[tuple[str, ...], pydantic.Field(min_length=1, max_length=32)]
    allow_reconfigure: bool | None = None

    def kinds(self, gpu: Gpu) -> tuple[Profile, ...]:
        return geometry.parse(self.profiles, gpu.profiles)


def _size(gpu: Gpu, profile: Profile) -> str:
    """ "2/7 of the compute slices, 28 of 108 SMs", as far as it is known."""
    slices = f"{profile.compute_slices}/{gpu.compute_slices} of the compute slices"
    if profile.sm_count and gpu.sm_count:
        return f"{slices}, {profile.sm_count} of {gpu.sm_count} SMs"
    return slices
