"""Images that `bench image build` made: how they are labelled, and which one fits the bench that runs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIANTS = ("slim", "full")
REPOSITORY = "bench"
PACKAGES = ("bench", "workloads")
CODE_SUFFIXES = (".py", ".safetensors")
"""Of files that a tenant executes or loads; the rest is the conductor's."""

VARIANT = "bench.image"
CONTENT = "bench.image.content"
CODE = "bench.image.code"
EXTRAS = "bench.image.extras"
BUILD = "bench.image.build"
"""Label of everything that one build made, by which what it leaves behind is found."""


@dataclass(frozen=True)
class NoImage:
    """That there is no such image, in words for the user."""

    reason: str


def find_image(client: Any, name: str) -> str | NoImage:
    """The id of the image that `name` means to the engine behind `client` (of the Docker SDK).

    slim, full: the newest of that variant which holds the same code as the bench that runs. Anything else is an image's
    name or id. Nothing is pulled."""
    from docker.errors import ImageNotFound

    if name in VARIANTS:
        return _newest(client, name)
    try:
        image = client.images.get(name)
    except ImageNotFound:
        return NoImage(f"the container engine has no image {name}")
    if (image.labels or {}).get(CODE, code := own_code()) != code:
        return NoImage(f"image {name} holds another version of bench: `bench image build`")
    return str(image.id)


def own_images(client: Any, variant: str) -> list[Any]:
    """Images of that variant that bench built, newest first."""
    found = client.images.list(filters={"label": f"{VARIANT}={variant}"})
    return sorted((image for image in found if image.tags), key=lambda image: str(image.attrs["Created"]), reverse=True)


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


def _newest(client: Any, variant: str) -> str | NoImage:
    code = own_code()
    images = own_images(client, variant)
    for image in images:
        if image.labels[CODE] == code:
            return str(image.id)
    made = "those there are hold other versions of bench" if images else "none was built yet"
    return NoImage(f"there is no {variant} image of this bench, {made}: `bench image build --variant {variant}`")


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
