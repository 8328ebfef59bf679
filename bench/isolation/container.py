"""Tenants in containers, by podman or docker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from bench.contract import Device, Isolation, Launcher, Process, Slot, StartFailed, plugin
from bench.errors import BenchError, InfeasibleHere
from bench.isolation import engine as engines
from bench.isolation import host_root, leftovers
from bench.isolation.contained import ContainedProcess
from bench.isolation.engine import Engine, EngineFailed, Image, NoEngine
from bench.isolation.owner import Owner
from bench.isolation.process import THREAD_VARIABLES
from bench.isolation.tenant_container import TMP, Limits, TenantContainer, devices_of

WHERE = "isolation.container"
NOBODY = 65534
MIB, GIB = 2**20, 2**30
PASSED = ("LANG", "LC_ALL")
"""Variables of the host that tenants see, beside PYTHONPATH. `environment` names others."""


@plugin
class Containers(Isolation):
    """Each tenant is a container of its own.

    engine, socket: which engine serves; null: CONTAINER_HOST or DOCKER_HOST, else the usual sockets, else a service of
        podman that bench starts for itself.
    image: null: the host's own programs and libraries, read-only, over an image of a few folders.
    environment: what tenants find in theirs, beside what bench puts there.
    folders: what else of the host they may read.
    memory_limit_bytes: null: nine tenths of the machine's memory, so that a tenant dies of it and not the machine.
    cpu_limit: cores' worth of time; null: as much as there is on the slot's CPUs.
    """

    engine: Literal["auto", "podman", "docker"] = "auto"
    socket: Path | None = None
    image: str | None = None
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    memory_limit_bytes: Annotated[int, pydantic.Field(ge=64 * MIB)] | None = None
    cpu_limit: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)] | None = None
    pids_limit: Annotated[int, pydantic.Field(ge=16)] = 4096
    tmp_size_bytes: Annotated[int, pydantic.Field(ge=MIB)] = 2 * GIB
    shm_size_bytes: Annotated[int, pydantic.Field(ge=MIB)] = GIB
    preheated: bool = False

    def infeasible(self, device: Device) -> str | None:
        found = engines.find(self.engine, self.socket)
        return found if isinstance(found, str) else None

    @contextmanager
    def opened(self) -> Iterator[Launcher]:
        owner = Owner.this()
        try:
            with engines.opened(self.engine, self.socket) as engine:
                leftovers.remove_dead(engine)
                launcher = ContainerLauncher(self, engine, self._image(engine), owner)
                try:
                    yield launcher
                finally:
                    _clear(engine, owner)
        except NoEngine as error:
            raise _infeasible(str(error)) from error

    def _image(self, engine: Engine) -> Image:
        try:
            if self.image is None:
                return engine.import_image(*host_root.skeleton())
            found = engine.image(self.image)
        except EngineFailed as error:
            raise _infeasible(f"{engine}: {error}") from error
        if found is None:
            raise InfeasibleHere(
                f"{engine} has no image {self.image}",
                where=f"{WHERE}.image={self.image}",
                hint="make it by `bench image build`, or say image=null for the host's own programs",
            )
        return found

    def limits(self, slot: Slot) -> Limits:
        return Limits(
            memory_bytes=self.memory_limit_bytes or _memory_bytes() * 9 // 10,
            pids=self.pids_limit,
            tmp_bytes=self.tmp_size_bytes,
            shm_bytes=self.shm_size_bytes,
            cpus=slot.cpus or _own_cpus(),
            cpu=self.cpu_limit,
        )


@dataclass(frozen=True)
class ContainerLauncher(Launcher):
    """Of one run."""

    options: Containers
    engine: Engine
    image: Image
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
        }

    def start(
        self, arguments: Sequence[str], slot: Slot, environment: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Process:
        asked = self._container(arguments, slot, environment, folders)
        try:
            self.engine.revive()
            container = self.engine.create(asked.body())
        except EngineFailed as error:
            raise StartFailed(f"its container cannot be created: {error}") from error
        return ContainedProcess(self.engine, container, asked.limits.memory_bytes)

    def _container(
        self, arguments: Sequence[str], slot: Slot, environment: Mapping[str, str], folders: Sequence[Path]
    ) -> TenantContainer:
        of_host = host_root.of_host() if self.options.image is None else []
        python_path = host_root.python_path()
        python = sys.executable if self.options.image is None else "python"
        return TenantContainer(
            image=self.image.id,
            command=[python, "-P", "-m", *arguments],
            environment={
                **{name: os.environ[name] for name in PASSED if name in os.environ},
                **({"PYTHONPATH": os.pathsep.join(map(str, python_path))} if python_path else {}),
                "HOME": TMP,
                "TMPDIR": TMP,
                "USER": "bench",
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
                **slot.env,
                **dict.fromkeys(THREAD_VARIABLES, str(slot.threads)),
                **self.options.environment,
            },
            binds=host_root.binds([*of_host, *python_path, *folders, *self.options.folders]),
            limits=self.options.limits(slot),
            user=self._user(),
            labels=leftovers.labels(self.owner),
            user_namespace="keep-id" if self.engine.kind == "podman" and self.engine.rootless else None,
            cgroup_parent=self.engine.cgroup_parent,
            devices=devices_of(slot),
        )

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


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _own_cpus() -> tuple[int, ...]:
    """Those that tenants would have as plain processes; () where that is all there are."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    return cpus if len(cpus) < (os.cpu_count() or 1) else ()
