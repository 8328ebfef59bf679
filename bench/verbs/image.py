"""`bench image`: build what tenants run in with isolation=container, list it, remove what is out of date."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.config import default_cache_dir
from bench.errors import ConfigError, InfeasibleHere, Interrupted
from bench.isolation.containers import engine, leftovers
from bench.isolation.images.find import own_images
from bench.isolation.images.wheels import check_extras
from bench.printable import printable


def run(
    action: str, choice: engine.Choice, variant: str | None, extras: str | None, base: str | None, as_json: bool
) -> int:
    answer: dict[str, Any] | list[dict[str, Any]]
    given = {"--variant": variant, "--extras": extras, "--base": base}
    if action != "build" and (strange := [name for name, value in given.items() if value is not None]):
        raise ConfigError(f"{strange[0]} is for bench image build", where=f"bench image {action}", hint="leave it out")
    names = [name for name in (extras or "").split(",") if name]
    check_extras(names)
    with _client(choice) as (client, found):
        if action == "build":
            answer = _build(client, found, variant or "slim", names, base)
            lines = [str(answer["tag"])]
        else:
            images = own_images(client.api)
            if action == "remove":
                images = _removed(client, [image for image in images if not image.fits])
            answer = [asdict(image) for image in images]
            lines = [
                f"{image.tag}  {image.size_bytes / 2**20:.0f} MiB" + ("" if image.fits else "  (of another bench)")
                for image in images
            ]
    if as_json:
        lines = [json.dumps(answer, indent=1)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _build(client: Any, found: engine.Engine, variant: str, extras: Sequence[str], base: str | None) -> dict[str, Any]:
    from bench.isolation.images.build import build

    folder = Path(default_cache_dir()).expanduser().absolute() / "wheels"
    try:
        built = build(client, found, variant, extras, base, folder, _tell)
    except OSError as error:
        raise InfeasibleHere(
            f"wheels cannot be kept: {error.strerror or error}", where=str(folder), hint="free space there, or set "
            "BENCH_CACHE_DIR",
        ) from error  # fmt: skip
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted", where="bench image build", hint="start it again: wheels are kept, and nothing else of it"
        ) from error
    if not built.anew:
        _tell(f"{built.tag} is there already")
    return asdict(built)


def _removed(client: Any, images: Sequence[Any]) -> list[Any]:
    from docker.errors import APIError

    for image in images:
        try:
            client.api.remove_image(image.tag)
        except APIError as error:
            raise InfeasibleHere(
                f"the engine keeps {image.tag}: {error.explanation}",
                where="bench image remove",
                hint="wait until the runs that use it have ended",
            ) from error
    return list(images)


@contextmanager
def _client(choice: engine.Choice) -> Iterator[tuple[Any, engine.Engine]]:
    """The engine that isolation=container would take, and a client of the Docker SDK that speaks to it."""
    try:
        with engine.opened(choice, None) as found:
            from docker import DockerClient

            client = DockerClient(base_url=f"unix://{found.socket}", version="auto", timeout=engine.TIMEOUT_S)
            try:
                yield client, found
            finally:
                client.close()
                if found.cgroup_parent:
                    leftovers.remove_cgroup(found.cgroup_parent)
    except engine.NoEngine as error:
        raise InfeasibleHere(
            str(error), where=f"--engine {choice}", hint="install podman, or start docker; docs/containers.md"
        ) from error


def _tell(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
