"""A killed conductor leaves nothing that its successor does not remove; who still lives keeps what is theirs."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from harness import until
from inside import WAITS, asked, launcher, left, said, tenant

from bench.contract import Slot
from bench.isolation.cdi.devices import DeviceArguments
from bench.isolation.container import ContainerLauncher
from bench.isolation.containers import leftovers
from bench.isolation.containers.owner import Owner

CONDUCTOR = """
import json, sys
from pathlib import Path
from bench.contract import Slot
from bench.isolation.containers import engine
from bench.isolation.container import Containers

engine._usual = lambda: iter(())
options = json.loads(sys.argv[1])
if "socket" in options:
    options["socket"] = Path(options["socket"])
with Containers(**options).opened() as launcher:
    tenants = [launcher.start(["inside", sys.argv[2]], Slot(index, 1), {}) for index in range(2)]
    print(*(tenant.pid for tenant in tenants), flush=True)
    sys.stdin.read()
"""


def conductor(options: dict[str, object], code: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Another conductor with two tenants; they are there."""
    command = [sys.executable, "-c", CONDUCTOR, json.dumps(options, default=str), code]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]


def of_owner(opened: object, pid: int) -> list[str]:
    assert isinstance(opened, ContainerLauncher)
    containers = opened.engine.labelled(leftovers.TENANT)
    owners = [Owner.parse(container["Labels"][leftovers.OWNER]) for container in containers]
    return [str(owner) for owner in owners if owner and owner.pid == pid]


def cgroups_of(pid: int) -> list[Path]:
    return [path for path in Path("/sys/fs/cgroup").glob("*/bench-*") if f".{pid}." in path.name]


def test_a_killed_conductor(options: dict[str, object]) -> None:
    process, tenants = conductor(options, WAITS)
    process.kill()
    process.wait()
    until(lambda: not any(map(psutil.Process.is_running, tenants)), "its tenants end by themselves", 10)
    with launcher(options) as opened:
        assert of_owner(opened, process.pid) == []
        assert cgroups_of(process.pid) == []
        assert asked(opened, "1 + 1") == 2
    assert left() == []


def test_a_killed_conductor_whose_tenants_are_busy(options: dict[str, object]) -> None:
    """They do not see that their input has ended: whoever starts next ends them."""
    process, tenants = conductor(options, "while True: pass")
    process.kill()
    process.wait()
    assert all(map(psutil.Process.is_running, tenants))
    with launcher(options) as opened:
        assert not any(map(psutil.Process.is_running, tenants))
        assert of_owner(opened, process.pid) == []
        assert cgroups_of(process.pid) == []
    assert left() == []


def test_what_a_live_owner_has_is_kept(options: dict[str, object]) -> None:
    process, tenants = conductor(options, WAITS)
    with launcher(options) as opened, tenant(opened, WAITS) as link:
        said(link)
        assert all(map(psutil.Process.is_running, tenants))
        assert len(of_owner(opened, process.pid)) == 2
    assert all(map(psutil.Process.is_running, tenants))
    process.communicate()
    assert process.returncode == 0
    assert not any(map(psutil.Process.is_running, tenants))
    assert cgroups_of(process.pid) == []
    assert left() == []


def test_what_is_not_ours_is_kept(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers of other software, and of owners of whom nobody knows whether they live."""
    this = Owner.this()
    dead = dataclasses.replace(this, pid=2**22 - 1)
    cases: dict[str, tuple[dict[str, str], bool]] = {
        "of other software": ({"bench": "something"}, True),
        "without an owner": ({"bench": "tenant"}, True),
        "of an owner in another pid namespace": (leftovers.labels(dataclasses.replace(dead, namespace="1")), True),
        "of a dead owner": (leftovers.labels(dead), False),
        "of an owner whose pid is somebody else's": (leftovers.labels(dataclasses.replace(this, start_ticks=1)), False),
        "of another boot, and never started": (leftovers.labels(dataclasses.replace(dead, boot="0")), False),
    }
    with launcher(options) as opened:
        assert isinstance(opened, ContainerLauncher)
        made = {}
        for case, (labels, _) in cases.items():
            with monkeypatch.context() as patch:
                patch.setattr(leftovers, "labels", lambda _, labels=labels: labels)
                asked = opened._container(["inside", ""], Slot(0, 1), {}, (), DeviceArguments())
                made[case] = opened.engine.create(asked.body())
        try:
            assert leftovers.remove_dead(opened.engine) == 3
            there = {container["Id"] for container in opened.engine.labelled("bench")}
            assert {case: made[case] in there for case in cases} == {case: kept for case, (_, kept) in cases.items()}
        finally:
            for container in made.values():
                opened.engine.remove(container)
    assert left() == []


def test_a_service_that_was_killed_with_its_conductor() -> None:
    """Nobody was there to tidy up after the containers."""
    process, tenants = conductor({"engine": "podman"}, WAITS)
    (service,) = [child for child in psutil.Process(process.pid).children() if "service" in child.cmdline()]
    monitors = [monitor for each in tenants if (monitor := each.parent())]
    for each in (service, process, *monitors, *tenants):
        each.kill()
    process.wait()
    assert cgroups_of(process.pid) != []
    with launcher({"engine": "podman"}) as opened:
        assert of_owner(opened, process.pid) == []
        assert cgroups_of(process.pid) == []
    assert left() == []


def test_our_service_ends_with_its_conductor() -> None:
    process, _ = conductor({"engine": "podman"}, WAITS)
    (service,) = [child for child in psutil.Process(process.pid).children() if "service" in child.cmdline()]
    os.kill(process.pid, 9)
    process.wait()
    until(lambda: not service.is_running() or service.status() == psutil.STATUS_ZOMBIE, "the service ends", 5)
    with launcher({"engine": "podman"}) as opened:
        assert of_owner(opened, process.pid) == []
    assert left() == []


def test_isolations_that_are_compared_share_a_service() -> None:
    """The one that is opened first serves until the last is closed, and is started again for all when it dies."""
    podman = {"engine": "podman"}
    with launcher(podman) as first, launcher(podman, cpu_limit=0.5) as second:
        assert isinstance(first, ContainerLauncher) and isinstance(second, ContainerLauncher)
        assert first.engine.socket == second.engine.socket
        for opened in (first, second):
            assert asked(opened, "1") == 1
        (service,) = [child for child in psutil.Process().children() if "podman" in child.name()]
        service.kill()
        service.wait(10)
        for opened in (second, first):
            assert asked(opened, "1") == 1
    assert not [child for child in psutil.Process().children() if "podman" in child.name()]
