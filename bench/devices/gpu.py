"""One GPU, as its driver tells of it: identity, size, what MIG offers there and which instances it has."""

from __future__ import annotations

import ctypes
from typing import Any

from bench.contract import Gpu, GpuAddress
from bench.devices import catalog
from bench.devices.geometry import Profile
from bench.devices.mig.layout import MigState, read_state
from bench.devices.nvml import NvmlError, Session

ARCHITECTURES = {
    3: "maxwell", 4: "pascal", 5: "volta", 6: "turing", 7: "ampere", 8: "ada", 9: "hopper", 10: "blackwell",
    13: "rubin",
}  # fmt: skip
CORES_PER_SM = {"volta": 64, "turing": 64, "ada": 128, "hopper": 128, "blackwell": 128}
"""NVML counts cores, not multiprocessors. Ampere has both kinds: 64 on compute capability 8.0, else 128."""
VIRTUALIZATION = ("none", "passthrough", "vgpu", "host_vgpu", "host_vsga")
ATTRIBUTES = {
    7: "+me", 8: "+me", 10: "+gfx", 11: "+gfx", 12: "+gfx", 13: "-me", 14: "-me", 15: "+me.all", 16: "+me.all",
    17: "+gfx",
}  # fmt: skip
"""What an NVML profile enum adds to or takes from the ordinary profile of its slices."""


def describe(session: Session, address: GpuAddress) -> Gpu:
    """Everything that planning needs. Raises NvmlError where even identity is not told."""
    handle = session.device(address.uuid)
    pci = session.do("nvmlDeviceGetPciInfo", handle)
    architecture = ARCHITECTURES.get(session.ask("nvmlDeviceGetArchitecture", handle) or 0, "unknown")
    capability = session.ask("nvmlDeviceGetCudaComputeCapability", handle)
    profiles = profiles_of(session, handle, pci.pciDeviceId)
    return Gpu(
        address=GpuAddress(session.do("nvmlDeviceGetUUID", handle), address.driver),
        pci_bus_id=text(pci.busId),
        pci_device_id=pci.pciDeviceId,
        product=text(session.do("nvmlDeviceGetName", handle)),
        architecture=architecture,
        compute_capability=tuple(capability) if capability else None,
        sm_count=_sm_count(session, handle, architecture, capability),
        virtualization=virtualization(session, handle),
        driver_version=text(session.do("nvmlSystemGetDriverVersion")),
        compute_slices=max((profile.compute_slices for profile in profiles), default=0),
        profiles=profiles,
        mig=_mig_state(session, handle, profiles),
    )


def text(value: Any) -> str:
    """NVML's strings come as text from functions, and as bytes from structures."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def memory_bytes(session: Session, address: GpuAddress) -> int:
    """Of the whole board; 0 where this user may not know (under MIG, in a container)."""
    memory = session.ask("nvmlDeviceGetMemoryInfo", session.device(address.uuid))
    return int(memory.total) if memory else 0


def virtualization(session: Session, handle: Any) -> str:
    mode = session.ask("nvmlDeviceGetVirtualizationMode", handle)
    return VIRTUALIZATION[mode] if mode is not None and mode < len(VIRTUALIZATION) else "none"


def profiles_of(session: Session, handle: Any, pci_device_id: int) -> tuple[Profile, ...]:
    """The GPU instance profiles that this driver offers on this GPU, () without MIG. Sizes come from the driver;
    placements too, where it tells them (MIG on, with privileges), and else from the catalog."""
    known = catalog.by_pci_device_id(pci_device_id)
    in_catalog = {profile.enum: profile for profile in known.profiles} if known else {}
    found = []
    for enum in range(session.pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            info = session.do("nvmlDeviceGetGpuInstanceProfileInfo", handle, enum)
        except NvmlError as error:
            if error.code == "INVALID_ARGUMENT":  # this driver knows no further profiles
                break
            if error.code in ("NOT_SUPPORTED", "FUNCTION_NOT_FOUND"):
                continue
            raise
        found.append(_profile(session, handle, enum, info, in_catalog.get(enum)))
    return tuple(found)


def _profile(session: Session, handle: Any, enum: int, info: Any, known: Profile | None) -> Profile:
    starts, size = _placements(session, handle, info.id)
    if not starts and known is not None and known.id == info.id:
        starts, size = known.starts, known.size
    return Profile(
        enum=enum,
        id=info.id,
        name=text(info.name).removeprefix("MIG ") or (known.name if known else f"{info.sliceCount}g"),
        compute_slices=info.sliceCount,
        attributes=ATTRIBUTES.get(enum, ""),
        memory_bytes=int(info.memorySizeMB) * 2**20 or None,
        sm_count=info.multiprocessorCount or None,
        max_instances=info.instanceCount,
        starts=starts,
        size=size,
        copy_engines=info.copyEngineCount,
        decoders=info.decoderCount,
        encoders=info.encoderCount,
        jpegs=info.jpegCount,
        ofas=info.ofaCount,
    )


def _placements(session: Session, handle: Any, profile_id: int) -> tuple[tuple[int, ...], int]:
    """(starts, size) in memory slices, taken or not; ((), 0) where it is not told."""
    count = ctypes.c_uint()
    if session.ask("nvmlDeviceGetGpuInstancePossiblePlacements", handle, profile_id, None, ctypes.byref(count)) is None:
        return (), 0
    room = (session.pynvml.c_nvmlGpuInstancePlacement_t * max(1, count.value))()
    session.do("nvmlDeviceGetGpuInstancePossiblePlacements", handle, profile_id, room, ctypes.byref(count))
    places = room[: count.value]
    return tuple(sorted(place.start for place in places)), places[0].size if places else 0


def _mig_state(session: Session, handle: Any, profiles: tuple[Profile, ...]) -> MigState:
    return read_state(session, handle, [profile.id for profile in profiles if profile.id is not None])


def _sm_count(session: Session, handle: Any, architecture: str, capability: Any) -> int | None:
    cores = session.ask("nvmlDeviceGetNumGpuCores", handle)
    per_sm = CORES_PER_SM.get(architecture)
    if architecture == "ampere" and capability:
        per_sm = 64 if tuple(capability) == (8, 0) else 128
    return cores // per_sm if cores and per_sm else None
