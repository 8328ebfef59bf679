"""Which engine is taken, and in which words none is: nothing is started to find out."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.contract import Device
from bench.isolation.container import Containers
from bench.isolation.containers import engine as engines
from bench.isolation.containers import podman_service
from bench.isolation.containers.engine import find
from bench.partitions.mps import Mps
from bench.partitions.time_shared import TimeShared

CPU = Device(kind="cpu", name="CPU", cpus=(0, 1), memory_bytes=2**30)


@pytest.fixture(autouse=True)
def nobody_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONTAINER_HOST", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(engines, "_usual", lambda: iter(()))


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """Somebody who says the same to everybody."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def http(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff garbage\n",
        http(b"{"),
        http(b"[]"),
        http(b"null"),
        http(b"{}"),
        http(b'{"ApiVersion": 7}'),
        http(b'{"ApiVersion": "x"}'),
        http(b'{"ApiVersion": "1.41"}'),
        http(b'{"ApiVersion": "1.41", "Components": [1]}'),
        http(b'{"ApiVersion": "1.12", "Version": "1"}'),
    ],
)
def test_garbage_on_the_socket(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "s"
    with answering(path, answer):
        reason = Containers(socket=path).infeasible(CPU)
    assert reason and str(path) in reason and "engine does" in reason


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    assert Containers(socket=tmp_path / "s").infeasible(CPU) == f"there is no socket {tmp_path / 's'}"


def test_a_socket_on_which_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    assert Containers(socket=path).infeasible(CPU) == f"nobody listens on {path} (connection refused)"


def test_what_the_environment_names_is_taken_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman_service, "infeasible", lambda: None)
    assert find("auto", None) is None  # a service of our own
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/d")
    assert find("auto", None) == f"there is no socket {tmp_path}/d"
    assert find("podman", None) is None
    monkeypatch.setenv("CONTAINER_HOST", "ssh://elsewhere/s")
    assert "ssh://elsewhere/s is not a socket of this machine" in str(find("auto", None))


def test_an_engine_of_the_other_kind(tmp_path: Path) -> None:
    path = tmp_path / "s"
    body = b'{"ApiVersion": "1.41", "Version": "20.10", "Components": [], "DefaultRuntime": "runc"}'
    with answering(path, http(body)):
        assert find("docker", path) == path
        assert find("podman", path) == f"{path} is a socket of docker, and engine=podman was asked for"


def test_nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find("auto", None) == "neither podman nor docker is installed"
    assert find("docker", None) == "no socket of docker is here: is it installed, and does it run?"


def programs(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    return str(folder)


def test_podman_without_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path, "podman", "runc", "crun"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    unified, systemd, ids = tmp_path / "controllers", tmp_path / "systemd", tmp_path / "subuid"
    monkeypatch.setattr(podman_service, "UNIFIED", unified)
    monkeypatch.setattr(podman_service, "SYSTEMD", systemd)
    monkeypatch.setattr(podman_service, "SUBORDINATE_IDS", ids)
    monkeypatch.setattr("os.getuid", lambda: 12345678)
    assert "unless cgroups are v2" in str(find("auto", None))
    unified.touch()
    assert "needs systemd" in str(find("auto", None))
    systemd.touch()
    delegated = tmp_path / "12345678"
    monkeypatch.setattr(podman_service, "DELEGATED", str(tmp_path / "{uid}"))
    assert "does not delegate cpu, cpuset, memory, pids to" in str(find("auto", None))
    delegated.write_text("memory pids\n")
    told = str(find("auto", None))
    assert "does not delegate cpu, cpuset to" in told and "`Delegate=cpu cpuset io memory pids`" in told
    delegated.write_text("cpuset cpu io memory pids\n")
    assert "usermod --add-subuids" in str(find("auto", None))
    ids.write_text("12345678:100000:65536\n")
    assert find("auto", None) is None


def test_hybrid_cgroups_need_runc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(podman_service, "UNIFIED", tmp_path / "none")
    monkeypatch.setenv("PATH", programs(tmp_path, "podman", "crun"))
    assert "needs runc where cgroups are v1 or hybrid" in str(find("auto", None))


def test_runc_is_taken_before_crun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In whose older versions NVIDIA's hooks fail."""
    monkeypatch.setattr(podman_service, "UNIFIED", tmp_path)
    monkeypatch.setenv("PATH", programs(tmp_path, "podman", "crun"))
    assert podman_service._runtime() == "crun"
    programs(tmp_path, "runc")
    assert podman_service._runtime() == "runc"


def test_mps_is_infeasible_in_containers_and_other_partitions_are_not() -> None:
    assert "Multi-Process Service" in str(Containers().infeasible_in(Mps()))
    assert Containers().infeasible_in(TimeShared()) is None


def test_importing_it_imports_no_docker() -> None:
    code = "import sys, bench.isolation.container; sys.exit('docker' in sys.modules or 'requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
