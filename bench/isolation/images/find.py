"""Images that `bench image build` made: how they are labelled, and which one fits the bench that runs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIANTS = ("slim", "full")
REPOSITORY = "bench"
PACKAGES = ("bench", "workloads")
CODE_SUFFIXES = (".py", ".safetensors")
"""Of files that a tenant executes or loads; the rest is the conductor's."""

VARIANT = "bench.image"
CODE = "bench.image.code"
EXTRAS = "bench.image.extras"
BUILD = "bench.image.build"
"""Label of everything that one build made, by which what it leaves behind is found."""


@dataclass(frozen=True)
class NoImage:
    """That there is no such image, in words for the user."""

    reason: str


@dataclass(frozen=True)
class OwnImage:
    """An image that bench built. `fits`: it holds the same code as the bench that runs."""

    tag: str
    id: str
    size_bytes: int
    variant: str
    extras: tuple[str, ...]
    created: int
    fits: bool


def find_image(api: Any, name: str) -> str | NoImage:
    """The id of the image that `name` means to the engine behind `api` (a `docker.APIClient`).

    slim, full: the newest of that variant which holds the same code as the bench that runs. Anything else is an image's
    name or id. Nothing is pulled."""
    from docker.errors import ImageNotFound

    if name in VARIANTS:
        images = own_images(api, name)
        if fitting := [image for image in images if image.fits]:
            return fitting[0].id
        made = "those there are hold other versions of bench" if images else "none was built yet"
        return NoImage(f"there is no {name} image of this bench, {made}: `bench image build --variant {name}`")
    try:
        told = api.inspect_image(name)
    except ImageNotFound:
        return NoImage(f"the engine has no image {name}")
    labels = told["Config"].get("Labels") or {}
    if labels.get(CODE, code := own_code()) != code:
        return NoImage(f"image {name} holds another version of bench: `bench image build --variant {labels[VARIANT]}`")
    return str(told["Id"])


def own_images(api: Any, variant: str | None = None) -> list[OwnImage]:
    """Images that bench built, of that variant or any, newest first."""
    code = own_code()
    images = [
        OwnImage(
            tag=tag,
            id=told["Id"],
            size_bytes=told["Size"],
            variant=labels[VARIANT],
            extras=tuple(filter(None, labels.get(EXTRAS, "").split(","))),
            created=told["Created"],
            fits=labels.get(CODE) == code,
        )
        for told in api.images(filters={"label": f"{VARIANT}={variant}" if variant else VARIANT})
        for labels in [told["Labels"]]
        for tag in [_tag(told["RepoTags"] or ())]
        if tag
    ]
    return sorted(images, key=lambda image: image.created, reverse=True)


def _tag(names: Sequence[str]) -> str | None:
    """Ours of an image's names, to which podman adds a registry that it never came from."""
    own = (name.rpartition("/")[2] for name in names)
    return next((name for name in own if name.startswith(f"{REPOSITORY}:")), None)


def own_code() -> str:
    """What tells the code of the bench that runs from any other."""
    paths = {
        f"{package}/{(path := Path(inner) / name).relative_to(folder).as_posix()}": path
        for package in PACKAGES
        for folder in [_folder(package)]
        for inner, _, names in os.walk(folder, followlinks=True)  # in a checkout, configs is a link
        for name in names
        if name.endswith(CODE_SUFFIXES)
    }
    return _digest((name, paths[name].read_bytes()) for name in sorted(paths))


def code_in(wheel: Path) -> str:
    """The same of a wheel of bench."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.partition("/")[0] in PACKAGES]
        return _digest((name, archive.read(name)) for name in sorted(names) if name.endswith(CODE_SUFFIXES))


def _folder(package: str) -> Path:
    specification = importlib.util.find_spec(package)
    assert specification is not None and specification.origin is not None
    return Path(specification.origin).parent


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    total = hashlib.sha256()
    for name, content in files:
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
