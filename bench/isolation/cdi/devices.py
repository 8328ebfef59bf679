"""From a slot's GPU to what a container engine is to be given, so that its tenant gets that device and no other.

    with cdi.opened(engine) as gpus:                     # once per run
        devices = gpus.of(slot)                          # raises StartFailed, in words
        body["HostConfig"] |= devices.host_config
        environment |= devices.environment
        container = gpus.create(body, devices)           # raises StartFailed
        ...
        gpus.started(slot, pid)                          # the tenant's, as this machine counts

and inside, before anything else, `cdi_arrival.check_arrival`: that the engine was asked proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench.contract import Device, Slot, StartFailed
from bench.devices.cdi_freshness import PROC, nodes_of, outdated
from bench.devices.cdi_specification import DIRECTORIES, Ambiguous, CdiFile, Described, find, read_files
from bench.devices.mig import journal
from bench.devices.rehearsal import cdi as rehearsal
from bench.devices.rehearsal.client import DRIVER
from bench.devices.state_folder import state_folder
from bench.isolation.cdi import own as cdi_own
from bench.isolation.cdi import podman as cdi_podman
from bench.isolation.cdi.arrival import expected
from bench.isolation.cdi.own import OwnSpecifications
from bench.isolation.containers.owner import Owner

KIND = "nvidia.com/gpu"
LEGACY_RUNTIME = "nvidia"
LEGACY = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
VISIBLE = "NVIDIA_VISIBLE_DEVICES"
NO_MPS = {"CUDA_MPS_PIPE_DIRECTORY": "/nonexistent"}
"""NVIDIA's description hands out the usual folder, and a daemon that listens there is none of the trial's."""
HINT = "`nvidia-ctk cdi generate --output={path}` (before 1.15 with --device-name-strategy=uuid)"


class EngineLike(Protocol):
    """What is needed of an engine (bench.isolation.containers.engine.Engine)."""

    kind: Any
    version: str
    api: Any

    def create(self, body: dict[str, Any]) -> str: ...


@dataclass(frozen=True)
class DeviceArguments:
    """host_config: to put into HostConfig. environment: to put into the tenant's, over all others. names: qualified
    names of CDI devices that this engine takes by another interface only: `GpuDevices.create` uses it."""

    host_config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class GpuDevices:
    """Of one run. directories: where CDI specifications are, () where its engine does not look for any. legacy: whether
    it has NVIDIA's own runtime. proc: where the driver tells of its layout. host_root: tenants have the host's /usr and
    ld.so.cache, and with them the driver's libraries: no hook could write there, and only device nodes are missing."""

    engine: EngineLike
    directories: Sequence[Path]
    legacy: bool
    own: OwnSpecifications
    regenerate: bool
    proc: Path
    host_root: bool = False

    @property
    def _name(self) -> str:
        return f"{self.engine.kind} {self.engine.version}"

    def of(self, slot: Slot) -> DeviceArguments:
        """Nothing for a slot without a GPU. Raises StartFailed."""
        if slot.gpu is None:
            return DeviceArguments()
        devices = self._of(slot, slot.gpu)
        return replace(devices, environment={**NO_MPS, **devices.environment})

    def _of(self, slot: Slot, uuid: str) -> DeviceArguments:
        if driver := slot.env.get(DRIVER):
            return self._by_cdi(uuid, self._rehearsed(uuid, Path(driver)), {DRIVER: ""})
        if self.directories:
            files = read_files(self.directories)
            if not self.legacy or any(file.specification and file.specification.kind == KIND for file in files):
                return self._by_cdi(uuid, self._described(uuid, slot.gpu_instance, files))
        if self.legacy:
            nodes = nodes_of(uuid, slot.gpu_instance, self.proc)
            if not nodes:
                raise StartFailed(
                    f"{self.proc} does not tell which device nodes {uuid} has, so what NVIDIA's runtime hands out "
                    "cannot be checked; a CDI specification tells: " + HINT.format(path="/etc/cdi/nvidia.yaml")
                )
            told = {VISIBLE: uuid, **LEGACY, **expected(uuid, nodes, {VISIBLE: uuid})}
            return DeviceArguments({"Runtime": LEGACY_RUNTIME}, told)
        raise StartFailed(
            f"{self._name} has neither CDI (docker: `features.cdi`, from 25 on) nor NVIDIA's runtime: its containers "
            "cannot have a GPU"
        )

    def create(self, body: dict[str, Any], devices: DeviceArguments) -> str:
        """A container's id. `body` as in the API's documentation of /containers/create. Raises StartFailed, and what
        the engine's own `create` raises."""
        if not devices.names:
            return self.engine.create(body)
        import requests

        try:
            told = cdi_podman.specification(body, devices.names)
            answer = self.engine.api.post(f"http+docker://localhost/{cdi_podman.CREATE}", json=told)
            content = answer.json()
        except (cdi_podman.Untranslatable, requests.RequestException, OSError, ValueError) as error:
            raise StartFailed(f"its container cannot be created: {error}") from error
        content = content if isinstance(content, dict) else {}
        if answer.status_code != requests.codes.created or "Id" not in content:
            reason = content.get("message") or content.get("cause") or f"{self._name} says {answer.status_code}"
            raise StartFailed(f"its container cannot be created: {reason}")
        return str(content["Id"])

    def started(self, slot: Slot, pid: int) -> None:
        """A tenant runs there: a rehearsed driver has to be told, as a real one sees it by itself."""
        if slot.gpu and (driver := slot.env.get(DRIVER)):
            rehearsal.attach(Path(driver), slot.gpu, pid)

    def _by_cdi(self, uuid: str, described: Described, environment: Mapping[str, str] | None = None) -> DeviceArguments:
        nodes = {node.path: node.on_host for node in described.edits.nodes}
        variables = dict(variable.split("=", 1) for variable in described.edits.env)
        told = {**(environment or {}), **expected(uuid, nodes, variables)}
        if self.host_root:
            plain = [
                {"PathOnHost": on_host, "PathInContainer": path, "CgroupPermissions": "rw"}
                for path, on_host in nodes.items()
            ]
            return DeviceArguments({"Devices": plain}, {**variables, **told})
        if self.engine.kind == "podman":
            return DeviceArguments(environment=told, names=(described.name,))
        request = {"Driver": "cdi", "DeviceIDs": [described.name]}
        return DeviceArguments({"DeviceRequests": [request]}, told)

    def _rehearsed(self, uuid: str, driver: Path) -> Described:
        """The rehearsed GPU as it is now, described to the engine."""
        if not self.directories:
            raise StartFailed(f"{self._name} does not take CDI devices, and a rehearsed GPU is nothing else")
        kind = self.own.kind(rehearsal.VENDOR)
        self.own.write(driver.stem, rehearsal.specification(driver, kind))
        found = find(read_files([self.own.folder]), kind, uuid)
        if found is None:
            raise StartFailed(f"the rehearsed GPU has no device {uuid} now")
        return found

    def _described(self, uuid: str, gpu_instance: int | None, files: Sequence[CdiFile]) -> Described:
        """The machine's own description, if it is of the present. Raises StartFailed."""
        found, reason = self._present(files, KIND, uuid, gpu_instance)
        path = found.file.path if found else self.directories[-1] / "nvidia.yaml"
        if reason and self.regenerate and _bench_changed_a_layout():
            found, reason = self._of_own(uuid, gpu_instance)
            if reason:
                self.own.generate()
                found, reason = self._of_own(uuid, gpu_instance)
        if found is None or reason:
            raise StartFailed(f"no CDI specification describes {uuid} as it is: {reason}; {HINT.format(path=path)}")
        return found

    def _of_own(self, uuid: str, gpu_instance: int | None) -> tuple[Described | None, str | None]:
        kind = self.own.kind(cdi_own.NVIDIA_VENDOR)
        return self._present(read_files([self.own.folder]), kind, uuid, gpu_instance)

    def _present(
        self, files: Sequence[CdiFile], kind: str, uuid: str, gpu_instance: int | None
    ) -> tuple[Described | None, str | None]:
        """A description, and why it is none of the present."""
        try:
            found = find(files, kind, uuid)
        except Ambiguous as error:
            return None, str(error)
        if found is None:
            faults = "".join(f"; {file.path}: {file.fault}" for file in files if file.fault)
            return None, f"none has {kind}={uuid}{faults}"
        reason = outdated(found, uuid, gpu_instance, self.proc)
        return found, f"in {found.file.path} {reason}" if reason else None


def _bench_changed_a_layout() -> bool:
    """Whether one stands now that bench made, on a GPU of this machine."""
    uuids = [path.stem for path in state_folder("mig").glob("GPU-*.json")]
    return any(book is not None and book.boot == journal.this_boot() for book in map(journal.read, uuids))


@contextmanager
def opened(engine: EngineLike, regenerate: bool = False, host_root: bool = False) -> Iterator[GpuDevices]:
    """For a run. `host_root`: as of GpuDevices; then nobody but bench reads the specifications. `regenerate`: where the
    machine's CDI specification is older than a MIG layout that bench made, make one for it (nvidia-ctk), of a kind of
    its own, for as long as the run lasts."""
    info = engine.api.info() if engine.kind == "docker" else {}
    directories = DIRECTORIES if engine.kind == "podman" else tuple(map(Path, info.get("CDISpecDirs") or ()))
    legacy = LEGACY_RUNTIME in (info.get("Runtimes") or {}) and not host_root  # it runs ldconfig, as the hooks do
    if host_root:
        directories = directories or DIRECTORIES
    folder = state_folder("cdi") if host_root else (directories or DIRECTORIES)[-1]
    cdi_own.remove_dead([*directories, folder])
    own = OwnSpecifications(folder, Owner.this())
    try:
        yield GpuDevices(engine, directories, legacy, own, regenerate, PROC, host_root)
    finally:
        own.remove()


def infeasible(device: Device, regenerate: bool = False, directories: Sequence[Path] = DIRECTORIES) -> str | None:
    """Why containers of an image cannot have this device, whatever the engine; None if they may."""
    if device.gpu is None or not (device.rehearsal or regenerate):
        return None
    folder = directories[-1]
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(there, os.W_OK | os.X_OK):
        return None
    what = "a rehearsed GPU" if device.rehearsal else "with regenerate_cdi, a GPU"
    return f"{what} is described to containers of an image in {folder}, where this user may not write"
