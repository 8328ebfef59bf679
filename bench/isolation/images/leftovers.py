"""What builds of images leave behind, and what becomes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.isolation.containers.owner import Owner
from bench.isolation.images.find import BUILD, VARIANT

END_LIMIT_S = 30.0
PAUSE_S = 0.1


def remove_leftovers(client: Any) -> None:
    """Stages and steps of builds that have ended, which no name leads to, however they ended: this one's, and those of
    processes that are dead. What is made of a finished image (a tenant, a user's own image) inherits its labels, and is
    nobody's step."""

    def left(labels: Mapping[str, str]) -> bool:
        owner = Owner.parse(labels.get(BUILD, ""))
        return VARIANT not in labels and owner is not None and (owner.dead or owner == Owner.this())

    for container in client.containers.list(all=True, filters={"label": BUILD}, ignore_removed=True):
        if left(container.labels):
            container.remove(force=True)
    for image in client.images.list(filters={"dangling": True, "label": BUILD}):
        if left(image.labels):
            with suppress(Exception):  # gone already, with one that was made of it
                client.images.remove(image.id)


def remove_working_containers(client: Any) -> None:
    """What a service of our own could not remove because it was killed while it built."""
    for address in _working_containers(client):
        client.api.delete(address, params={"force": "true"})


def end_steps(client: Any) -> None:
    """End what a service of our own does for a build that nobody waits for, and give it time to tidy up behind itself:
    it will not outlive us. It is a child of ours, and what it runs are its children."""
    from requests import RequestException

    for _ in range(int(END_LIMIT_S / PAUSE_S)):
        for service in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, FileNotFoundError):
                for process in service.children(recursive=True):
                    # Not its helpers, which tidy up: what they start has a namespace of its own.
                    if _namespace(process.pid) != _namespace(os.getpid()):
                        process.kill()
        with suppress(RequestException):  # podman 4 fails to list what vanishes meanwhile
            if not _working_containers(client):
                return
        time.sleep(PAUSE_S)


def _working_containers(client: Any) -> list[str]:
    """Addresses of what podman's builder works in, by podman's own API: Docker's does not show it."""
    containers = f"{client.api.base_url}/v4.0.0/libpod/containers"
    answer = client.api.get(f"{containers}/json", params={"all": "true", "external": "true"})
    answer.raise_for_status()
    return [f"{containers}/{container['Id']}" for container in answer.json() if container["State"] == "storage"]


def _namespace(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino
