"""The image that others are built on: there, or fetched, and with a Python like the one that runs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from bench.errors import InfeasibleHere

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BASES = {"slim": f"python:{PYTHON}-slim", "full": f"python:{PYTHON}"}
"""What is taken when nothing is said: for the full variant what brings compilers along."""
ABOUT = (
    "import platform as p; print(p.python_implementation(), *p.python_version_tuple()[:2], p.machine(), *p.libc_ver())"
)
START_LIMIT_S = 60.0


def base_image(client: Any, base: str, tell: Callable[[str], None]) -> str:
    """The id of the base, which the engine fetches if it lacks it."""
    from docker.errors import APIError, ImageNotFound
    from docker.utils import parse_repository_tag

    with suppress(ImageNotFound):
        return str(client.images.get(base).id)
    tell(f"fetching {base}")
    name, tag = parse_repository_tag(base)
    try:
        lines = client.api.pull(name, tag or "latest", stream=True, decode=True)
        told = [line["error"] for line in lines if "error" in line]
        if not told:
            return str(client.images.get(base).id)
    except APIError as error:
        told = [words(error)]
    raise InfeasibleHere(
        f"there is no image {base}, and the engine cannot fetch it: {line_of(told[0])}",
        where="--base",
        hint="--base IMAGE names another that has Python with venv; docs/containers.md shows how to make one",
    )


def check_python(client: Any, base: str, base_id: str, labels: Mapping[str, str], cgroup_parent: str | None) -> None:
    """Wheels are collected by the Python that runs here, for others like it: the base's must be one."""
    implementation, version = platform.python_implementation(), platform.python_version_tuple()[:2]
    ours = [implementation, *version, platform.machine(), platform.libc_ver()[0]]
    told = _asked(client, base, base_id, labels, cgroup_parent)
    theirs = told.split()[: len(ours)]
    if theirs != ours:
        found, wanted = (
            f"{' '.join(each[:1])} {'.'.join(each[1:3])} on {' '.join(each[3:])}" for each in (theirs, ours)
        )
        raise InfeasibleHere(
            f"{base} has {found}, and bench runs on {wanted}: wheels that fit the one do not fit the other",
            where="--base",
            hint=f"name one with Python {PYTHON}, as {BASES['slim']} is, or start bench by the base's Python",
        )


def _asked(client: Any, base: str, base_id: str, labels: Mapping[str, str], cgroup_parent: str | None) -> str:
    """What the base's Python tells of itself."""
    from docker.errors import APIError

    reason = None
    try:
        container = client.containers.create(
            base_id, ["-c", ABOUT], entrypoint=["python3"], network_mode="none", labels=dict(labels),
            cgroup_parent=cgroup_parent, log_config={"type": "json-file"},
        )  # fmt: skip
        try:
            container.start()
            status = container.wait(timeout=START_LIMIT_S)["StatusCode"]
            told = str(container.logs().decode(errors="replace"))
        finally:
            container.remove(force=True)
        if status == 0:
            return told
        reason = line_of(told) or f"exit status {status}"
    except APIError as error:
        reason = words(error)
    raise InfeasibleHere(
        f"{base} has no python3 that starts: {reason}", where="--base", hint="name an image that has one, with venv"
    )


def words(error: Exception) -> str:
    """What the engine said, on one line."""
    return line_of(str(getattr(error, "explanation", None) or error))


def line_of(text: str) -> str:
    return " ".join(text.split())
