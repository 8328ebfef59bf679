"""Tenants in containers, by podman or docker."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from bench.contract import Device, Isolation, Launcher, Partition, Process, Slot, StartFailed, plugin
from bench.errors import BenchError, InfeasibleHere
from bench.isolation.cdi import devices as cdi
from bench.isolation.cdi.devices import DeviceArguments, GpuDevices
from bench.isolation.containers import engine as engines
from bench.isolation.containers import host_root, leftovers
from bench.isolation.containers.contained import ContainedProcess
from bench.isolation.containers.engine import Engine, EngineFailed, Image, NoEngine
from bench.isolation.containers.owner import Owner
from bench.isolation.containers.tenant_container import TMP, Limits, TenantContainer, selinux
from bench.isolation.images.find import NoImage, find_image
from bench.isolation.process import THREAD_VARIABLES

WHERE = "isolation.container"
NOBODY = 65534
MIB, GIB = 2**20, 2**30
PASSED = ("LANG", "LC_ALL")
"""Variables of the host that tenants see, beside PYTHONPATH. `environment` names others."""

OWN = {"HOME": TMP, "TMPDIR": TMP, "USER": "bench", "PYTHONDONTWRITEBYTECODE": "1"}
"""What every tenant's environment has: there is one place to write to."""


@plugin
class Containers(Isolation):
    """Each tenant is a container of its own.

    engine, socket: which engine serves; null: CONTAINER_HOST or DOCKER_HOST, else the usual sockets, else a service of
        podman that bench starts for itself.
    image: slim, full: the newest that `bench image build` made of this bench; or the name or id of another one. null:
        the host's own programs and libraries, read-only, over an image of a few folders.
    environment: what tenants find in theirs, beside what bench puts there.
    folders: what else of the host they may read.
    memory_limit_bytes: of each tenant; null: nine tenths of the machine's memory, so that a tenant dies of it and not
        the machine. Several together may take more than there is.
    cpu_limit: cores' worth of time; `slot`: the slot's fair share of the cores; null: as much as there is on its CPUs.
    module_loading: whether CUDA loads all kernels of a module at once, or each when it is first used; null: CUDA's own
        default, which is lazy from 12.2 on.
    regenerate_cdi: where NVIDIA's description of the GPU is older than a MIG layout that bench made, have it made anew
        for the run (nvidia-ctk); off: such a trial fails, and says so.
    """

    engine: Literal["auto", "podman", "docker"] = "auto"
    socket: Path | None = None
    image: str | None = None
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    memory_limit_bytes: Annotated[int, pydantic.Field(ge=64 * MIB)] | None = None
    cpu_limit: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)] | Literal["slot"] | None = None
    pids_limit: Annotated[int, pydantic.Field(ge=16)] = 4096
    tmp_size_bytes: Annotated[int, pydantic.Field(ge=MIB)] = 2 * GIB
    shm_size_bytes: Annotated[int, pydantic.Field(ge=MIB)] = GIB
    module_loading: Literal["eager", "lazy"] | None = None
    regenerate_cdi: bool = False
    preheated: bool = False
    base_of: str | None = None

    def infeasible(self, device: Device) -> str | None:
        if self.module_loading == "lazy" and device.executes_on == "cpu":
            return "it is CUDA that loads modules lazily; tenants that compute on a CPU have none"
        if reason := host_root.too_much([*host_root.python_path(), *self.folders]):
            return f"PYTHONPATH or `folders`: {reason}"
        found = engines.find(self.engine, self.socket)
        if isinstance(found, str):
            return found
        return cdi.infeasible(device, self.regenerate_cdi) if self.image else None

    def infeasible_in(self, partition: Partition) -> str | None:
        return partition.needs_host

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        owner = Owner.this()
        try:
            with engines.opened(self.engine, self.socket) as engine:
                image = self._ready(engine)
                try:
                    with cdi.opened(engine, self.regenerate_cdi, host_root=self.image is None) as gpus:
                        yield ContainerLauncher(self, engine, image, gpus, owner)
                finally:
                    _clear(engine, owner)
        except NoEngine as error:
            raise _infeasible(str(error)) from error

    def _ready(self, engine: Engine) -> Image:
        """The image, in an engine that dead runs have left nothing in."""
        try:
            leftovers.remove_dead(engine)
            return engine.import_image(*host_root.skeleton()) if self.image is None else self._named(engine, self.image)
        except EngineFailed as error:
            raise _infeasible(f"{engine}: {error}") from error

    def _named(self, engine: Engine, name: str) -> Image:
        found = find_image(engine.api, name)
        if isinstance(found, NoImage):
            raise InfeasibleHere(
                f"{engine}: {found.reason}",
                where=f"{WHERE}.image={name}",
                hint="`bench image` makes and lists images; image=null takes the host's own programs",
            )
        image = engine.image(found)
        assert image is not None
        return dataclasses.replace(image, name=name)

    def limits(self, slot: Slot) -> Limits:
        return Limits(
            memory_bytes=self.memory_limit_bytes or _memory_bytes() * 9 // 10,
            pids=self.pids_limit,
            tmp_bytes=self.tmp_size_bytes,
            shm_bytes=self.shm_size_bytes,
            cpus=slot.cpus or _own_cpus(),
            cpu=float(slot.threads) if self.cpu_limit == "slot" else self.cpu_limit,
        )


@dataclass(frozen=True)
class ContainerLauncher(Launcher):
    """Of one run."""

    options: Containers
    engine: Engine
    image: Image
    gpus: GpuDevices
    owner: Owner

    def confinement(self, slot: Slot) -> dict[str, Any]:
        limits = self.options.limits(slot)
        return {
            "engine": str(self.engine),
            "runtime": self.engine.runtime,
            "image": {"id": self.image.id, "name": self.image.name, "size_bytes": self.image.size_bytes},
            "cpus": list(limits.cpus),
            "cpu_limit": limits.cpu,
            "memory_limit_bytes": limits.memory_bytes,
            "pids_limit": limits.pids,
            "tmp_size_bytes": limits.tmp_bytes,
            "shm_size_bytes": limits.shm_bytes,
            "user": self._user(),
            "network": "none",
            "selinux": selinux(),
        }

    def start(
        self, arguments: Sequence[str], slot: Slot, environment: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Process:
        if reason := host_root.too_much([*host_root.python_path(), *folders, *self.options.folders]):
            raise StartFailed(reason)
        self._check_readable(folders)
        devices = self.gpus.of(slot)
        asked = self._container(arguments, slot, environment, folders, devices)
        try:
            self.engine.revive()
            container = self.gpus.create(asked.body(), devices)
        except EngineFailed as error:
            raise StartFailed(f"its container cannot be created: {error}") from error
        process = ContainedProcess(self.engine, container, asked.limits.memory_bytes)
        self.gpus.started(slot, process.pid)
        return process

    def _container(
        self,
        arguments: Sequence[str],
        slot: Slot,
        environment: Mapping[str, str],
        folders: Sequence[Path],
        devices: DeviceArguments,
    ) -> TenantContainer:
        of_host = host_root.of_host() if self.options.image is None else []
        python_path = host_root.python_path()
        python = sys.executable if self.options.image is None else "python"
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        if python_path:
            passed["PYTHONPATH"] = os.pathsep.join(map(str, python_path))
        if self.options.module_loading:
            passed["CUDA_MODULE_LOADING"] = self.options.module_loading.upper()
        return TenantContainer(
            image=self.image.id,
            command=[python, "-P", "-m", *arguments],
            environment={
                **passed,
                **OWN,
                **environment,
                **slot.env,
                **dict.fromkeys(THREAD_VARIABLES, str(slot.threads)),
                **self.options.environment,
                **devices.environment,
            },
            binds=host_root.binds([*of_host, *python_path, *folders, *self.options.folders]),
            limits=self.options.limits(slot),
            user=self._user(),
            labels=leftovers.labels(self.owner),
            recursive=self.engine.rootless,
            user_namespace="keep-id" if self.engine.kind == "podman" and self.engine.rootless else None,
            cgroup_parent=self.engine.cgroup_parent,
            devices=devices.host_config,
        )

    def _check_readable(self, folders: Sequence[Path]) -> None:
        """Where bench is root, tenants are nobody, and root's own folders may be closed to them."""
        closed = [
            path for path in (*folders, *self.options.folders) if host_root.is_there(path) and not _open_to_all(path)
        ]
        if closed and not os.getuid():
            told = ", ".join(map(str, closed))
            raise StartFailed(f"tenants run as nobody and may not read {told}: `chmod o+rX` lets them")

    def _user(self) -> str:
        """Never root: ours, or nobody where that is root."""
        return f"{os.getuid()}:{os.getgid()}" if os.getuid() else f"{NOBODY}:{NOBODY}"


def _clear(engine: Engine, owner: Owner) -> None:
    with suppress(EngineFailed):  # the next run finds what stays
        engine.revive()
        leftovers.remove_own(engine, owner)
        if engine.cgroup_parent:
            leftovers.remove_cgroup(engine.cgroup_parent)


def _infeasible(reason: str) -> BenchError:
    return InfeasibleHere(
        reason, where=WHERE, hint="install podman, or name the socket of an engine; isolation=[process] needs neither"
    )


def _open_to_all(path: Path) -> bool:
    mode = path.stat().st_mode
    return bool(mode & stat.S_IROTH) and (not stat.S_ISDIR(mode) or bool(mode & stat.S_IXOTH))


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _own_cpus() -> tuple[int, ...]:
    """Those that tenants would have as plain processes; () where that is all there are."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    return cpus if len(cpus) < (os.cpu_count() or 1) else ()
