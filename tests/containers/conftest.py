"""Engines for tests that run real containers: bench's own service of podman, and a dockerd where one is installed.

Without podman all of it is skipped, unless BENCH_TEST_CONTAINERS=1 says that it must run (`make test-containers`).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from inside import MODULE

from bench.isolation.containers import engine as engines
from bench.isolation.containers import podman_service
from bench.isolation.containers.owner import Owner
from bench.isolation.containers.podman_service import PodmanService

MUST_RUN = os.environ.get("BENCH_TEST_CONTAINERS") == "1"
DOCKERD = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false", "--storage-driver=overlay2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = podman_service.infeasible()
    if reason and MUST_RUN:
        pytest.exit(f"BENCH_TEST_CONTAINERS=1, and containers cannot run here: {reason}", returncode=1)
    for item in items:
        if reason and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"no containers here: {reason}"))


@pytest.fixture(autouse=True)
def own_engine_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine of the machine, and a module for tenants that does what a test says."""
    for name in ("CONTAINER_HOST", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(engines, "_usual", lambda: iter(()))
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "inside.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(modules))


@pytest.fixture(scope="session", autouse=True)
def clean_service_folder(own_surroundings: Path) -> Iterator[None]:
    own_surroundings.chmod(0o755)  # the cache, which pytest has closed to all others
    yield
    if os.geteuid() == 0:
        shutil.rmtree(PodmanService(Owner.this()).folder, ignore_errors=True)


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a dockerd of our own."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("dockerd is not installed, or cannot be started without root")
    # Not below pytest's folder: a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="bench-docker-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "d.sock")
        folders = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
        with Path(folder, "log").open("wb") as log:
            daemon = subprocess.Popen(
                ["dockerd", *folders, "-H", f"unix://{path}", *DOCKERD], stdout=log, stderr=log, start_new_session=True
            )
        try:
            _await(path, daemon, Path(folder, "log"))
            yield path
        finally:
            daemon.terminate()
            daemon.wait(20)


def _await(path: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1000):
        assert daemon.poll() is None, log.read_text()
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(path)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("dockerd does not listen")


@pytest.fixture(params=["podman", "docker"])
def options(request: pytest.FixtureRequest) -> dict[str, object]:
    """What `Containers` is told, once for each engine."""
    if request.param == "podman":
        return {"engine": "podman"}
    return {"engine": "docker", "socket": request.getfixturevalue("dockerd")}
