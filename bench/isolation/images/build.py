"""Builds an image for tenants: a Containerfile, wheels that lie beside it, an engine, and no network."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import clock
from bench.errors import BenchError, InfeasibleHere
from bench.isolation.containers.engine import Engine, EngineFailed
from bench.isolation.containers.leftovers import remove_dead
from bench.isolation.containers.owner import Owner
from bench.isolation.images.base import BASES, base_image, check_python, line_of, words
from bench.isolation.images.find import BUILD, REPOSITORY, code_in
from bench.isolation.images.leftovers import end_steps, remove_leftovers, remove_working_containers
from bench.isolation.images.wheels import collected, requirement

CONTAINERFILE = Path(__file__).with_name("Containerfile")
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
    client: Any, engine: Engine, variant: str, extras: Sequence[str], base: str | None, folder: Path,
    tell: Callable[[str], None],
) -> Built:  # fmt: skip
    """The image of that variant, built unless it is there. `client` is the Docker SDK's, of `engine`. `folder` keeps
    wheels, `tell` is told how it goes on."""
    from docker.errors import DockerException, ImageNotFound
    from requests import RequestException

    started_ns = clock.now_ns()
    base = base or BASES[variant]
    try:
        base_id = base_image(client, base, tell)
        labels = {BUILD: str(Owner.this())}
        check_python(client, base, base_id, labels, engine.cgroup_parent)
        with collected(folder, extras, tell) as wheels:
            if engine.own:  # by which nobody else builds while we have the lock of the wheels
                remove_working_containers(client)
                remove_dead(engine)
            remove_leftovers(client)
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
                arguments = {"CODE": code_in(own), "EXTRAS": ",".join(sorted(set(extras)))}
                _build(client, tag, variant, base_id, contents, labels, arguments, engine.own, tell)
                image, anew = client.images.get(tag), True
    except (DockerException, RequestException, EngineFailed) as error:
        raise _refused(words(error), f"bench image build --variant {variant}") from error
    spent_s = clock.seconds(clock.now_ns() - started_ns)
    return Built(tag, image.id, image.attrs["Size"], len(image.attrs["RootFS"]["Layers"]), round(spent_s, 3), anew)


def _build(
    client: Any, tag: str, variant: str, base_id: str, contents: Mapping[str, Path | bytes],
    labels: Mapping[str, str], arguments: Mapping[str, str], own: bool, tell: Callable[[str], None],
) -> None:  # fmt: skip
    from docker.errors import DockerException
    from requests import RequestException

    heard: list[str] = []
    try:
        for line in client.api.build(
            fileobj=_context(contents), custom_context=True, dockerfile="Containerfile", tag=tag,
            target=variant, buildargs={**arguments, "BASE": base_id, "BUILD": labels[BUILD]}, labels=labels,
            network_mode="none", nocache=True, rm=True, forcerm=True, decode=True,
        ):  # fmt: skip
            if "error" in line:
                reasons = [text.removeprefix("ERROR: ") for text in heard if text.startswith("ERROR: ")]
                raise _refused("; ".join([*reasons[:1], line_of(line["error"])]), f"building {tag}")
            for text in filter(None, map(str.strip, line.get("stream", "").splitlines())):
                heard.append(text)
                tell(text)
    except KeyboardInterrupt:
        if own:
            end_steps(client)
        raise
    finally:
        with suppress(DockerException, RequestException):  # an engine that is gone is told of already
            remove_leftovers(client)


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
        f"the engine could not build the image: {line_of(told)}",
        where=where,
        hint="free space where the engine keeps its images" if full else "what the build said stands above",
    )
