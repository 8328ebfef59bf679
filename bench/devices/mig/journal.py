"""What is written down before a MIG layout is changed, so that whatever happens it can be brought back.

One file per GPU, one owner at a time. It names the layout that was found, and every instance that bench created:
nothing else is destroyed, as far as profile, place and the driver's number can tell instances apart. An instance is
written down before it is created, so none can exist without a line.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydantic

from bench.devices.state_folder import state_folder
from bench.errors import InfeasibleHere, StoreError


class Created(pydantic.BaseModel):
    """A GPU instance of ours. `number` is the driver's id; None: it was about to be created."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    profile_id: int
    start: int
    number: int | None = None


class Journal(pydantic.BaseModel):
    """`was_on`: whether MIG was on before the first change. `kept`: the user asked for this layout (`bench mig apply`),
    so no run may change it; otherwise a run of bench made it for its own use. `boot`: of the machine; instances do not
    survive a reboot, so what is there after one is somebody else's. None: of a rehearsed GPU, which knows no reboot."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    uuid: str
    was_on: bool
    kept: bool
    boot: str | None
    created: tuple[Created, ...] = ()


def read(uuid: str) -> Journal | None:
    """The journal of a GPU, None where nothing of ours stands. Raises StoreError for one that cannot be read."""
    path = _path(uuid)
    try:
        return Journal.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(
            "the journal of a MIG change cannot be read",
            where=str(path),
            hint="compare `nvidia-smi mig -lgi` with what should be there, change it by hand, then remove the file",
        ) from error


def write(journal: Journal) -> None:
    """Whole and on disk when this returns."""
    path = _path(journal.uuid)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("w") as file:
            file.write(journal.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"the journal cannot be written: {error.strerror}",
            where=str(path),
            hint="without it nothing is changed: free some space, or name another folder in BENCH_STATE_DIR",
        ) from error


def remove(uuid: str) -> None:
    """All is as it was."""
    path = _path(uuid)
    try:
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"the MIG layout is back, and its journal cannot be removed: {error.strerror}",
            where=str(path),
            hint="remove it by hand",
        ) from error


def this_boot() -> str:
    """A name for the time since the machine was started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextmanager
def owned(uuid: str) -> Iterator[None]:
    """One process at a time changes a GPU. The lock goes with the process that holds it, however that ends."""
    folder = _path(uuid).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{uuid}.lock").open("w")
    except OSError as error:
        raise StoreError(
            f"the state folder cannot be used: {error.strerror}",
            where=str(folder),
            hint="name another one in BENCH_STATE_DIR, the same for all users of this GPU",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InfeasibleHere(
                "another bench is dividing this GPU now", where=uuid, hint="wait until it ends"
            ) from error
        yield


def _path(uuid: str) -> Path:
    return state_folder("mig") / f"{uuid}.json"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
