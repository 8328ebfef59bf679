"""Wheels for an image: bench as it runs here, and what it needs, in the versions that are installed here."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bench.errors import BenchError, ConfigError, InfeasibleHere
from bench.feasibility import importable
from bench.isolation.images.find import code_in, own_code

EXCLUSIVE = ("onnxruntime", {"cpu", "ort-cuda"})
NOT_IN_WHEELS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
"""Written into dist-info by installers."""
EPOCH = (1980, 1, 1, 0, 0, 0)


def check_extras(extras: Sequence[str]) -> None:
    known = _distribution().metadata.get_all("Provides-Extra") or []
    for extra in extras:
        if extra not in known:
            raise ConfigError(f"bench has no extra {extra}", where="--extras", hint=f"there are {', '.join(known)}")
    package, both = EXCLUSIVE
    if both <= set(extras):
        raise ConfigError(
            f"the extras {' and '.join(sorted(both))} hold two builds of {package}, which exclude each other",
            where="--extras",
            hint="say one of them",
        )


def requirement(extras: Sequence[str]) -> str:
    return f"bench[{','.join(sorted(set(extras)))}]" if extras else "bench"


@contextmanager
def collected(folder: Path, extras: Sequence[str], tell: Callable[[str], None]) -> Iterator[list[Path]]:
    """The wheels of bench with these extras. `folder` keeps them: what lies there already is not asked for again."""
    if not importable("pip"):
        raise InfeasibleHere("this Python has no pip", where=sys.executable, hint="python -m ensurepip")
    with _locked(folder, tell), _emptied(folder / "made") as made:
        tree = _source_tree()
        tell("the wheel of bench")
        own = _own_wheel(made, tree)
        constraints = made / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in _versions(tree)))
        common = (
            "--find-links",
            str(folder),
            "--constraint",
            str(constraints),
            f"{requirement(extras)} @ {own.as_uri()}",
        )
        # From what is kept alone, whatever pip is told to do otherwise.
        resolve = ("--isolated", "install", "--dry-run", "--ignore-installed", "--no-index", "--report", "-", *common)
        if (report := _pip(*resolve, PIP_CONFIG_FILE=os.devnull)).returncode:
            tell("the wheels that it needs")
            fetched = _pip("wheel", "--wheel-dir", str(made / "fetched"), *common)
            if fetched.returncode:
                tell(fetched.stderr.strip())
                raise _refused(fetched.stderr, "the wheels cannot be had", f"pip wheel {requirement(extras)}")
            for wheel in (made / "fetched").glob("*.whl"):
                if not wheel.name.startswith("bench-"):
                    wheel.replace(folder / wheel.name)
            report = _pip(*resolve, PIP_CONFIG_FILE=os.devnull)
        if report.returncode:
            raise _refused(report.stderr, "the wheels do not fit together", str(folder))
        found = [item["download_info"]["url"] for item in json.loads(report.stdout)["install"]]
        yield sorted(Path(unquote(urlsplit(url).path)) for url in found)


@contextmanager
def _locked(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another `bench image build`")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """That folder, without what a build that was killed left there; gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _versions(tree: Path | None) -> list[str]:
    """Of everything that is installed here, so that a container differs from a process by the container alone; of the
    rest, those that were tried together, where they are at hand."""
    found = {_canonical(item.metadata["Name"]): item.version for item in metadata.distributions()}
    del found["bench"]
    versions = [f"{name}=={version}" for name, version in found.items()]
    tried = tree / "constraints.txt" if tree else None
    if tried and tried.is_file():
        lines = [line for line in tried.read_text().splitlines() if "==" in line and not line.startswith("#")]
        versions += [line for line in lines if _canonical(line.partition("==")[0]) not in found]
    return sorted(versions)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _own_wheel(folder: Path, tree: Path | None) -> Path:
    """Of the bench that runs: built where it is installed from a folder, else put together from what is installed."""
    if tree is None:
        wheel = _repacked(folder)
    else:
        # Building needs hatchling: the one that is here, or else pip gets one.
        isolated = ["--no-build-isolation"] if importable("hatchling") else []
        built = _pip("wheel", "--no-deps", *isolated, "--wheel-dir", str(folder), str(tree))
        if built.returncode:
            raise _refused(built.stderr, "no wheel of bench can be built", str(tree))
        (wheel,) = folder.glob("bench-*.whl")
    if code_in(wheel) != own_code():
        raise InfeasibleHere(
            "the installed bench is not the one that runs",
            where=str(tree or _distribution().locate_file("bench")),
            hint="start bench from the environment it is installed in, and do not edit it meanwhile",
        )
    return wheel


def _distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("bench")
    except metadata.PackageNotFoundError as error:
        raise InfeasibleHere(
            "bench runs here without being installed, and an image needs it as a wheel",
            where=sys.executable,
            hint="pip install it, -e will do",
        ) from error


def _source_tree() -> Path | None:
    """The folder that bench is installed from, editable; None where it was installed from a wheel or an index."""
    origin = json.loads(_distribution().read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def _repacked(folder: Path) -> Path:
    """A wheel of the installed files, each checked against the record of its installation."""
    distribution = _distribution()
    packed = folder / f"bench-{distribution.version}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(distribution.files or []):
            if path.parts[0] == ".." or path.name in NOT_IN_WHEELS or path.hash is None:
                continue  # scripts that the installer wrote, its own notes, and compiled files
            content = path.read_binary()
            told = base64.urlsafe_b64encode(hashlib.new(path.hash.mode, content).digest()).rstrip(b"=").decode()
            if told != path.hash.value:
                raise InfeasibleHere(
                    "a file of bench was changed after it was installed",
                    where=str(path.locate()),
                    hint="install bench anew (pip install --force-reinstall --no-deps)",
                )
            archive.writestr(zipfile.ZipInfo(str(path), EPOCH), content)
            record.append(f"{path},{path.hash.mode}={told},{len(content)}")
        name = f"bench-{distribution.version}.dist-info/RECORD"
        archive.writestr(zipfile.ZipInfo(name, EPOCH), "\n".join([*record, f"{name},,", ""]))
    return packed


def _pip(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    # With one date in all of them, wheels that pip builds anew are the same again.
    env = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", **variables}
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def _refused(stderr: str, what: str, where: str) -> BenchError:
    told = [line.removeprefix("ERROR:").strip() for line in stderr.splitlines() if line.startswith("ERROR:")]
    full = "no space left" in stderr.lower()
    return InfeasibleHere(
        f"{what}: {told[0] if told else (stderr.strip().splitlines() or ['pip told nothing'])[-1]}",
        where=where,
        hint="free space, or set BENCH_CACHE_DIR"
        if full
        else "pip has to reach an index once, or know a folder of wheels (PIP_FIND_LINKS)",
    )
