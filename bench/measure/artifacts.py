"""The artifact cache: what builders made, kept by content.

    cache/<kind>-<key>/            kind: model (result of costly passes), work (what such a model computes), runtime
                                       (what a runtime loads, evaluated) or ceilings (what a slot reaches)
        artifact.json              written last: times, size, and of every file its length and its SHA-256
        ...                        the files

An artifact is built in `<name>.tmp` under an exclusive lock and renamed into place, so several runs may share a cache
and one that was killed leaves nothing that looks finished. The key covers everything that the content depends on: the
workload's identity, passes and runtime with their options and their source files, library versions and the device.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import bench
import workloads
from bench.errors import StoreError
from bench.records import Count, Finite, Record

OUTPUTS = "outputs.npy"
LABELS = "labels.npy"
PROBE = "probe.npy"
RUNTIME = "runtime"
MANIFEST = "artifact.json"

MAKERS = (
    "contract.py",
    "optimizations/*.py",
    "runtimes/**/*.py",
    "measure/builder.py",
    "measure/task.py",
    "measure/work.py",
)
"""Files of bench that decide what an artifact contains: a change there builds all anew."""
LIBRARIES = (
    "numpy",
    "torch",
    "triton",
    "torchao",
    "torch-pruning",
    "transformers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "nvidia-modelopt",
    "tensorrt",
    "tensorrt-cu13",
    "tensorrt-cu13-libs",
    "tensorrt-cu12",
    "tensorrt-cu12-libs",
)
HASHED_BYTES = 64 * 2**20
"""Files up to this size are checked by content (a twentieth of a second), longer ones by their length alone."""


class _File(Record):
    """sha256: None where the file is too long to be hashed."""

    size_bytes: Count
    sha256: str | None


class _Manifest(Record):
    times_s: dict[str, Finite]
    size_bytes: Count
    files: dict[str, _File]


@dataclass(frozen=True)
class Artifact:
    """`fresh` tells whether this run built it; times are those of the build, whenever it was."""

    folder: Path
    size_bytes: int
    times_s: Mapping[str, float]
    fresh: bool


def library_versions() -> dict[str, str]:
    """Installed versions of what may change an artifact, by distribution, without importing any of it."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def key_of(content: Mapping[str, Any], *plugins: Any) -> str:
    """A key over `content` (JSON), the code of bench that makes artifacts, and the files that the plug-ins' classes and
    their bases are defined in; of the shipped workloads it is all files, because they share helpers."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    digest.update(" ".join(f"{type(plugin).__module__}.{type(plugin).__qualname__}" for plugin in plugins).encode())
    for path in sorted({*_makers(), *_sources(plugins)}):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:24]


def _makers() -> Iterator[Path]:
    package = Path(bench.__file__).parent
    for pattern in MAKERS:
        yield from package.glob(pattern)


def _sources(plugins: Iterable[Any]) -> Iterator[Path]:
    for cls in {base for plugin in plugins for base in type(plugin).__mro__}:
        module = sys.modules.get(cls.__module__)
        if module is None or not getattr(module, "__file__", None) or cls.__module__.partition(".")[0] == "bench":
            continue
        path = Path(str(module.__file__))
        yield path
        if cls.__module__.partition(".")[0] == "workloads":
            yield from Path(workloads.__file__).parent.rglob("*.py")


def find(cache: Path, name: str) -> Artifact | None:
    """The finished artifact of that name; None when there is none, or when a file of it was changed, cut or lost."""
    folder = cache / name
    try:
        manifest = _Manifest.model_validate_json((folder / MANIFEST).read_bytes(), strict=True)
        if any(_described(folder / file) != told for file, told in manifest.files.items()):
            return None
    except (OSError, ValueError):
        return None
    return Artifact(folder, manifest.size_bytes, manifest.times_s, fresh=False)


def _described(path: Path) -> _File:
    found = path.stat()
    hashed = found.st_size <= HASHED_BYTES
    return _File(
        size_bytes=found.st_size,
        sha256=_sha256(path, found.st_mtime_ns, found.st_size) if hashed else None,
    )


@functools.cache
def _sha256(path: Path, mtime_ns: int, size_bytes: int) -> str:
    """Computed once in a process, unless the file is seen to have changed: a model may serve many optimizations."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepare_folder(cache: Path) -> None:
    """Make the cache's folders; StoreError where that is impossible."""
    try:
        (cache / "locks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(cache, error) from error


@contextmanager
def locked(cache: Path, name: str) -> Iterator[None]:
    """Only one process at a time builds an artifact; the others wait and then find it."""
    prepare_folder(cache)
    try:
        lock = (cache / "locks" / name).open("w")
    except OSError as error:
        raise _unwritable(cache, error) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fresh_folder(cache: Path, name: str) -> Path:
    """An empty folder to build in; what a killed build left there is removed."""
    folder = cache / f"{name}.tmp"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(cache, error) from error
    return folder


def finish(cache: Path, name: str, times_s: Mapping[str, float]) -> Artifact:
    """Write the manifest and move the built folder into place."""
    folder = cache / f"{name}.tmp"
    files = {str(path.relative_to(folder)): _described(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    size_bytes = sum(file.size_bytes for file in files.values())
    try:
        with (folder / MANIFEST).open("w") as manifest:
            manifest.write(
                _Manifest(times_s=dict(times_s), size_bytes=size_bytes, files=files).model_dump_json(indent=1)
            )
            manifest.flush()
            os.fsync(manifest.fileno())
        shutil.rmtree(cache / name, ignore_errors=True)
        folder.rename(cache / name)
    except OSError as error:
        raise _unwritable(cache, error) from error
    return Artifact(cache / name, size_bytes, times_s, fresh=True)


def _unwritable(cache: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write the artifact cache: {error.strerror or error}",
        where=f"cache_dir={cache}",
        hint="free space there, or say cache_dir=FOLDER or set BENCH_CACHE_DIR",
    )
