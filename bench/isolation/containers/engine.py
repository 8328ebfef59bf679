"""podman or docker, found and spoken to through its API: one socket of this machine.

The Docker SDK speaks to both. It is imported when an engine is looked for, not before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.isolation.containers import podman_service
from bench.isolation.containers.podman_service import NotStarted, PodmanService

Kind = Literal["podman", "docker"]
Choice = Literal["auto", "podman", "docker"]

TIMEOUT_S = 60.0
"""Of one request; the longest is the import of an image."""
VARIABLES: dict[Kind, str] = {"podman": "CONTAINER_HOST", "docker": "DOCKER_HOST"}
KINDS: tuple[Kind, ...] = ("podman", "docker")
REPOSITORY = "bench"


class NoEngine(Exception):
    """There is no engine to be used; the message says why."""


class EngineFailed(Exception):
    """The engine did not do what it was asked to; the message says what it said."""


@dataclass(frozen=True)
class Image:
    id: str
    name: str
    size_bytes: int


class Engine:
    """One engine, for as long as it is opened. `service` is ours, where nobody else's answers."""

    def __init__(self, socket: Path, service: PodmanService | None = None) -> None:
        """Raises NoEngine where nothing answers on the socket, or not an engine."""
        self.socket = socket
        self._service = service
        self._connect()

    def _connect(self) -> None:
        self.api = _client(self.socket)
        version = _told(self.api.version, self.socket)
        info = _told(self.api.info, self.socket)
        try:
            parts = {str(part["Name"]): str(part["Version"]) for part in version.get("Components") or []}
            self.kind: Kind = "podman" if "Podman Engine" in parts else "docker"
            self.version = str(version["Version"])
            self.runtime = _runtime(str(info["DefaultRuntime"]), parts)
            options = [str(option) for option in info.get("SecurityOptions") or []]
            self.rootless = bool(info.get("Rootless")) or any("name=rootless" in option for option in options)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise NoEngine(f"{self.socket} answers, and not as an engine does") from error

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"

    @property
    def own(self) -> bool:
        return self._service is not None

    @property
    def cgroup_parent(self) -> str | None:
        """Where containers of our own service belong; an engine of the machine knows better."""
        return self._service.cgroup_parent if self._service else None

    def revive(self) -> None:
        """Start our own service again, where it has ended. Raises EngineFailed."""
        if self._service is None or self._service.running:
            return
        try:
            self._service.start()
            self._connect()
        except (NotStarted, NoEngine) as error:
            raise EngineFailed(str(error)) from error

    def close(self) -> None:
        self.api.close()

    # --- images ---

    def image(self, name: str) -> Image | None:
        """The image of that name or id, if the engine has it."""
        from docker.errors import ImageNotFound

        try:
            told = self.api.inspect_image(name)
        except ImageNotFound:
            return None
        except _errors() as error:
            raise EngineFailed(_words(error)) from error
        return Image(str(told["Id"]), name, int(told["Size"]))

    def import_image(self, tag: str, content: bytes) -> Image:
        """Make a tar the image `bench:<tag>`, unless there is one of that name."""
        name = f"{REPOSITORY}:{tag}"
        if found := self.image(name):
            return found
        try:
            # podman 4 drops the tag that is given with an import.
            told = self.api.import_image_from_data(content)
            self.api.tag(json.loads(told.strip().splitlines()[-1])["status"], REPOSITORY, tag)
        except _errors(KeyError) as error:
            raise EngineFailed(f"a root of a few folders could not be imported: {_words(error)}") from error
        if found := self.image(name):
            return found
        raise EngineFailed(f"it has no {name} after it was imported")

    # --- containers ---

    def create(self, body: dict[str, Any]) -> str:
        """A container's id. `body` as in the API's documentation of /containers/create."""
        return str(self._call(self.api.create_container_from_config, body)["Id"])

    def start(self, container: str) -> None:
        self._call(self.api.start, container)

    def state(self, container: str) -> dict[str, Any]:
        return dict(self._call(self.api.inspect_container, container)["State"])

    def exit_status(self, container: str, timeout_s: float) -> int | None:
        """Once it has ended; None where the engine does not know by then."""
        try:
            return int(self.api.wait(container, timeout=timeout_s)["StatusCode"])
        except _errors(KeyError, TypeError):
            return None

    def remove(self, container: str) -> None:
        """By force. One that is not there any more is none to remove."""
        try:
            self._remove(container)
        except EngineFailed:
            # podman 4 refuses where a container has ended behind its back; having noted that, it obeys.
            self._remove(container)

    def _remove(self, container: str) -> None:
        from docker.errors import NotFound

        try:
            self.api.remove_container(container, v=True, force=True)
        except NotFound:
            return
        except _errors() as error:
            raise EngineFailed(_words(error)) from error

    def answers(self) -> bool:
        """Whether it is still there."""
        try:
            return bool(self.api.ping())
        except _errors():
            return False

    def labelled(self, label: str) -> list[dict[str, Any]]:
        """All containers with that label ("name" or "name=value"), running or not."""
        return list(self._call(self.api.containers, all=True, filters={"label": label}))

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except _errors() as error:
            raise EngineFailed(_words(error)) from error


@contextmanager
def opened(choice: Choice, socket: Path | None) -> Iterator[Engine]:
    """The engine that is wanted, or the first that answers; at last our own service of podman. Raises NoEngine."""
    found = find(choice, socket)
    if isinstance(found, str):
        raise NoEngine(found)
    with ExitStack() as using:
        service = None
        if found is None:
            try:
                service = using.enter_context(podman_service.used())
            except NotStarted as error:
                raise NoEngine(str(error)) from error
            found = service.socket
        engine = Engine(found, service)
        using.callback(engine.close)
        yield engine


def find(choice: Choice, socket: Path | None) -> Path | str | None:
    """The socket of an engine that answers; None: podman is to be served by ourselves; else why there is none.

    A socket that somebody has named is the one, whether it answers or not."""
    kinds = KINDS if choice == "auto" else (choice,)
    if socket is None:
        named = next((value for kind in kinds if (value := os.environ.get(VARIABLES[kind]))), None)
        if named is not None:
            scheme, _, path = named.rpartition("://")
            if scheme not in ("", "unix"):
                return f"{named} is not a socket of this machine, and telemetry reads tenants' processes here"
            socket = Path(path)
    if socket is not None:
        answer = _answering(socket)
        return answer if isinstance(answer, str) else _of_kind(answer, choice)
    told: list[str] = []
    for kind, usual in _usual():
        if kind in kinds and usual.exists():
            answer = _answering(usual)
            if isinstance(answer, Engine) and answer.kind in kinds:
                return usual
            told.append(str(answer))
    if "podman" in kinds:
        if (reason := podman_service.infeasible()) is None:
            return None
        told.append(reason)
    return "; ".join(told) or f"no socket of {choice} is here: is it installed, and does it run?"


def _of_kind(engine: Engine, choice: Choice) -> Path | str:
    if choice in ("auto", engine.kind):
        return engine.socket
    return f"{engine.socket} is a socket of {engine.kind}, and engine={choice} was asked for"


def _answering(path: Path) -> Engine | str:
    try:
        engine = Engine(path)
    except NoEngine as error:
        return str(error)
    engine.close()
    return engine


def _usual() -> Iterator[tuple[Kind, Path]]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() != 0 and runtime:
        yield "podman", Path(runtime, "podman/podman.sock")
        yield "docker", Path(runtime, "docker.sock")
    yield "podman", Path("/run/podman/podman.sock")
    yield "docker", Path("/var/run/docker.sock")


def _client(socket: Path) -> Any:
    import docker

    try:
        return docker.APIClient(base_url=f"unix://{socket}", version="auto", timeout=TIMEOUT_S)
    except _errors() as error:
        raise NoEngine(_refusal(socket, error)) from error


def _told(ask: Any, socket: Path) -> dict[str, Any]:
    try:
        told = ask()
    except _errors() as error:
        raise NoEngine(_refusal(socket, error)) from error
    if not isinstance(told, dict):
        raise NoEngine(f"{socket} answers, and not as an engine does")
    return told


def _refusal(socket: Path, error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FileNotFoundError):
            return f"there is no socket {socket}"
        if isinstance(cause, PermissionError):
            return f"{socket} is not for this user (permission denied)"
        if isinstance(cause, ConnectionRefusedError):
            return f"nobody listens on {socket} (connection refused)"
        cause = cause.__cause__ or cause.__context__
    return f"{socket} does not answer as an engine does: {_words(error)}"


def _runtime(default: str, parts: dict[str, str]) -> str:
    """ "runc 1.1.5": name and version of what starts containers."""
    told = next((version for name, version in parts.items() if default in name), "")
    first = told.splitlines()[0] if told else ""
    return f"{default} {first.rpartition(' ')[2]}".strip()


def _errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What talking to an engine may raise, whatever it answers."""
    import docker
    import requests

    return docker.errors.DockerException, requests.RequestException, OSError, ValueError, *more


def _words(error: BaseException) -> str:
    """What an engine said, on one line."""
    told = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(str(told).split())[:500]
