"""Builds an image for tenants: a Containerfile, wheels that lie beside it, an engine, and no network."""

from __future__ import annotations

import hashlib
import platform
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError, InfeasibleHere
from bench.isolation.image_wheels import check_extras, collected, requirement
from bench.isolation.images import BUILD, CODE, CONTENT, EXTRAS, REPOSITORY, VARIANT, code_in
from bench.isolation.owner import Owner

CONTAINERFILE = Path(__file__).with_name("Containerfile")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BASES = {"slim": f"python:{PYTHON}-slim", "full": f"python:{PYTHON}"}
"""What images are built on when nothing is said: the full one on what brings compilers along."""
ABOUT = (
    "import platform as p; print(p.python_implementation(), *p.python_version_tuple()[:2], p.machine(), *p.libc_ver())"
)
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Built:
    tag: str
    id: str
    size_bytes: int
    layers: int
    spent_s: float
    anew: bool
    """False: it was there already."""


def build(
    client: Any, variant: str, extras: Sequence[str], base: str | None, folder: Path, tell: Callable[[str], None]
) -> Built:
    """The image of that variant, built unless it is there. `folder` keeps wheels, `tell` is told how it goes on."""
    from docker.errors import DockerException, ImageNotFound
    from requests import RequestException

    started_s = time.monotonic()
    check_extras(extras)
    base = base or BASES[variant]
    try:
        _remove_leftovers(client)
        base_id = _base(client, base, tell)
        _check_python(client, base, base_id)
        with collected(folder, extras, tell) as wheels:
            contents: dict[str, Path | bytes] = {
                "Containerfile": CONTAINERFILE,
                "wheels/requirements.txt": f"{requirement(extras)}\n".encode(),
                **{f"wheels/{wheel.name}": wheel for wheel in wheels},
            }
            content = _digest(variant, base_id, contents)
            tag = f"{REPOSITORY}:{variant}-{content}"
            try:
                image, anew = client.images.get(tag), False
            except ImageNotFound:
                (own,) = (wheel for wheel in wheels if wheel.name.startswith("bench-"))
                labels = {VARIANT: variant, CONTENT: content, CODE: code_in(own), EXTRAS: ",".join(sorted(set(extras)))}
                _build(client, tag, base_id, contents, labels, tell)
                image, anew = client.images.get(tag), True
    except (DockerException, RequestException) as error:
        raise _refused(_words(error), f"bench image build --variant {variant}") from error
    spent_s = time.monotonic() - started_s
    return Built(tag, image.id, image.attrs["Size"], len(image.attrs["RootFS"]["Layers"]), round(spent_s, 3), anew)


def _base(client: Any, base: str, tell: Callable[[str], None]) -> str:
    """The id of the base, which the engine fetches if it lacks it."""
    from docker.errors import APIError, ImageNotFound
    from docker.utils import parse_repository_tag

    with suppress(ImageNotFound):
        return str(client.images.get(base).id)
    tell(f"fetching {base}")
    name, tag = parse_repository_tag(base)
    try:
        told = [
            line["error"]
            for line in client.api.pull(name, tag or "latest", stream=True, decode=True)
            if "error" in line
        ]
        if not told:
            return str(client.images.get(base).id)
    except APIError as error:
        told = [_words(error)]
    raise InfeasibleHere(
        f"there is no image {base}, and the engine cannot fetch it: {_line(told[0])}",
        where="--base",
        hint="--base IMAGE names another that has Python with venv; docs/containers.md shows how to make one",
    )


def _check_python(client: Any, base: str, base_id: str) -> None:
    """Wheels are collected by the Python that runs here, for others like it: the base's must be one."""
    from docker.errors import ContainerError, DockerException

    implementation, major, minor = platform.python_implementation(), *platform.python_version_tuple()[:2]
    ours = [implementation, major, minor, platform.machine(), platform.libc_ver()[0]]
    try:
        told = client.containers.run(
            base_id, ["-c", ABOUT], entrypoint=["python3"], network_mode="none", remove=True,
            labels={BUILD: str(Owner.this())},
        )  # fmt: skip
    except (ContainerError, DockerException) as error:
        raise InfeasibleHere(
            f"{base} has no python3 that starts: {_words(error)}",
            where="--base",
            hint="name one that has, with venv",
        ) from error
    theirs = told.decode().split()[: len(ours)]
    if theirs != ours:
        found, wanted = (f"{each[0]} {'.'.join(each[1:3])} on {' '.join(each[3:])}" for each in (theirs, ours))
        raise InfeasibleHere(
            f"{base} has {found}, and bench runs on {wanted}: wheels that fit the one do not fit the other",
            where="--base",
            hint=f"--base {BASES['slim']}, say, or call bench by the Python that the base has",
        )


def _build(
    client: Any, tag: str, base_id: str, contents: Mapping[str, Path | bytes], labels: dict[str, str],
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    ours = str(Owner.this())
    lines = client.api.build(
        fileobj=_context(contents), custom_context=True, dockerfile="Containerfile", tag=tag,
        target=labels[VARIANT], buildargs={"BASE": base_id, "BUILD": ours}, labels={**labels, BUILD: ours},
        network_mode="none", nocache=True, rm=True, forcerm=True, decode=True,
    )  # fmt: skip
    try:
        heard: list[str] = []
        for line in lines:
            if "error" in line:
                reasons = [text for text in heard if text.startswith("ERROR:")]
                raise _refused("; ".join([*reasons[:1], _line(line["error"])]), f"building {tag}")
            for text in filter(None, map(str.strip, line.get("stream", "").splitlines())):
                heard.append(text)
                tell(text)
    finally:
        lines.close()
        _remove_leftovers(client)


def _remove_leftovers(client: Any) -> None:
    """Stages and steps of builds that have ended, which no name leads to, however they ended: this one's, and those of
    processes that are dead."""

    def left(labels: Mapping[str, str]) -> bool:
        owner = Owner.parse(labels.get(BUILD, ""))
        return owner is not None and (owner.dead or owner == Owner.this())

    for container in client.containers.list(all=True, filters={"label": BUILD}, ignore_removed=True):
        if left(container.labels) and VARIANT not in container.labels:  # tenants inherit their image's labels
            container.remove(force=True)
    for image in client.images.list(filters={"dangling": True, "label": BUILD}):
        if left(image.labels):
            with suppress(Exception):  # gone already, with one that was made of it
                client.images.remove(image.id)


def _digest(variant: str, base_id: str, contents: Mapping[str, Path | bytes]) -> str:
    """What tells this image from any other: 12 characters."""
    total = hashlib.sha256(f"{variant} {base_id}\n".encode())
    for name, content in sorted(contents.items()):
        inner = hashlib.sha256()
        for chunk in _chunks(content):
            inner.update(chunk)
        total.update(f"{name} {inner.hexdigest()}\n".encode())
    return total.hexdigest()[:12]


def _context(contents: Mapping[str, Path | bytes]) -> Iterator[bytes]:
    """A tar of them, made while it is sent."""
    for name, content in contents.items():
        entry = tarfile.TarInfo(name)
        entry.size = content.stat().st_size if isinstance(content, Path) else len(content)
        yield entry.tobuf()
        yield from _chunks(content)
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _chunks(content: Path | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _refused(told: str, where: str) -> BenchError:
    full = "no space left" in told.lower()
    return InfeasibleHere(
        f"the engine could not build the image: {_line(told)}",
        where=where,
        hint="free space where the engine keeps its images" if full else "what the build said stands above",
    )


def _words(error: Exception) -> str:
    """What the engine said, on one line."""
    return _line(str(getattr(error, "explanation", None) or error))


def _line(text: str) -> str:
    return " ".join(text.split())
