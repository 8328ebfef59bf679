"""Specifications of the Container Device Interface (CDI): what a container gets with a device of a certain name.

Files in two folders, of which the later one outranks the earlier; of two files in one folder that describe the same
device, neither counts. A file that is no specification hinders no other one: https://github.com/cncf-tags/container-device-interface
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pydantic
import yaml

DIRECTORIES = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Of lower and of higher rank, in every engine unless it is told otherwise."""
SUFFIXES = (".json", ".yaml")
LIMIT_BYTES = 8 * 2**20
"""A specification of eight GPUs in seven slices each has a few hundred kilobytes."""

_LETTERS = r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
Kind = Annotated[str, pydantic.Field(strict=True, pattern=rf"^{_LETTERS}/{_LETTERS}$")]
Name = Annotated[str, pydantic.Field(strict=True, pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$")]
Absolute = Annotated[str, pydantic.Field(strict=True, pattern=r"^/[^\x00]*$")]
Variable = Annotated[str, pydantic.Field(strict=True, pattern=r"^[^=\x00]+=[^\x00]*$")]


class _Part(pydantic.BaseModel):
    """Fields that bench does not use may be anything."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class DeviceNode(_Part):
    path: Absolute
    host_path: Annotated[str, pydantic.Field(alias="hostPath")] = ""

    @property
    def on_host(self) -> str:
        return self.host_path or self.path


class Mount(_Part):
    host_path: Annotated[Absolute, pydantic.Field(alias="hostPath")]
    container_path: Annotated[Absolute, pydantic.Field(alias="containerPath")]


class Hook(_Part):
    name: Annotated[str, pydantic.Field(alias="hookName")]
    path: Absolute


class Edits(_Part):
    """What is changed about a container. Empty lists may be written as null."""

    env: tuple[Variable, ...] = ()
    nodes: Annotated[tuple[DeviceNode, ...], pydantic.Field(alias="deviceNodes")] = ()
    mounts: tuple[Mount, ...] = ()
    hooks: tuple[Hook, ...] = ()

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return () if value is None else value

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            env=self.env + other.env,
            nodes=self.nodes + other.nodes,
            mounts=self.mounts + other.mounts,
            hooks=self.hooks + other.hooks,
        )


class CdiDevice(_Part):
    name: Name
    edits: Annotated[Edits, pydantic.Field(alias="containerEdits")] = Edits()


class Specification(_Part):
    version: Annotated[str, pydantic.Field(alias="cdiVersion", strict=True, pattern=r"^\d+\.\d+\.\d+")]
    kind: Kind
    devices: tuple[CdiDevice, ...]
    edits: Annotated[Edits, pydantic.Field(alias="containerEdits")] = Edits()
    """Of every container that gets one of these devices."""

    @pydantic.field_validator("devices")
    @classmethod
    def _distinct(cls, devices: tuple[CdiDevice, ...]) -> tuple[CdiDevice, ...]:
        names = [device.name for device in devices]
        if len(set(names)) < len(names):
            raise ValueError("a device is described twice")
        return devices


@dataclass(frozen=True)
class CdiFile:
    """`specification` is None where the file is none, and `fault` says why. `rank`: of its folder."""

    path: Path
    rank: int
    sha256: str = ""
    specification: Specification | None = None
    fault: str = ""


@dataclass(frozen=True)
class Described:
    """A device: its own edits, and all that a container is given with it, which are those of its file too."""

    name: str
    file: CdiFile
    own: Edits
    edits: Edits


class Ambiguous(Exception):
    """Files of the same rank describe the same device: engines then know none of that name."""


def read_files(directories: Sequence[Path] = DIRECTORIES) -> list[CdiFile]:
    """Every file that an engine would look at."""
    return [_read(path, rank) for rank, folder in enumerate(directories) for path in _candidates(folder)]


def find(files: Sequence[CdiFile], kind: str, name: str) -> Described | None:
    """The device `kind`=`name`. Raises Ambiguous."""
    found = list(_descriptions(files, kind, name))
    for one, another in pairwise(found):
        if one.file.rank == another.file.rank:
            raise Ambiguous(f"{one.file.path} and {another.file.path} both describe {one.name}")
    return found[-1] if found else None


def _descriptions(files: Sequence[CdiFile], kind: str, name: str) -> Iterator[Described]:
    """From lower to higher rank."""
    for file in sorted(files, key=lambda file: file.rank):
        told = file.specification
        if told is not None and told.kind == kind:
            for device in told.devices:
                if device.name == name:
                    yield Described(f"{kind}={name}", file, device.edits, told.edits + device.edits)


def _candidates(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    except OSError:
        return []


def _read(path: Path, rank: int) -> CdiFile:
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        return CdiFile(path, rank, fault=str(error.strerror))
    if len(content) > LIMIT_BYTES:
        return CdiFile(path, rank, fault=f"it has more than {LIMIT_BYTES // 2**20} MiB")
    digest = hashlib.sha256(content).hexdigest()
    try:
        return CdiFile(path, rank, digest, Specification.model_validate(_parsed(path, content)))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return CdiFile(path, rank, digest, fault=f"{place}: {first['msg']}" if place else first["msg"])
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        return CdiFile(path, rank, digest, fault=" ".join(str(error).split())[:200] or type(error).__name__)


def _parsed(path: Path, content: bytes) -> Any:
    text = content.decode()
    if path.suffix == ".json":
        return json.loads(text)
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
