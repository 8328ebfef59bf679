"""Each container gets the MIG device of its slot and no other: real containers, a rehearsed GPU, and a CDI
specification made for it. What arrived is looked at inside."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from boards import Board
from harness import SHORT, SPECIMEN, lines, run_bench, run_folders
from inside import asked, said, tenant

from bench.contract import Device, Slot, StartFailed
from bench.devices.cdi_specification import DIRECTORIES
from bench.devices.rehearsal import state
from bench.devices.state_folder import state_folder
from bench.isolation.cdi import devices as cdi
from bench.isolation.cdi import podman as cdi_podman
from bench.isolation.cdi.devices import DeviceArguments, GpuDevices
from bench.isolation.container import ContainerLauncher, Containers
from bench.isolation.containers.owner import Owner
from bench.partitions.mig import MigProfiles

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and os.environ.get("BENCH_TEST_CONTAINERS") != "1",
    reason="engines look for CDI specifications where only root writes",
)

ARRIVED = "__import__('bench.isolation.cdi.arrival', fromlist=['x']).check_arrival()"
NODES = "sorted(os.listdir('/dev/bench-rehearsal')) if os.path.isdir('/dev/bench-rehearsal') else []"
SEEN = f"dict(nodes={NODES}, device=os.environ.get('BENCH_REHEARSED_DEVICE'), arrived={ARRIVED})"
"""`arrived` is None where the check passes."""


class Deaf(GpuDevices):
    """An engine that takes a request for a device, ignores it, and reports success: as podman 4 does with Docker's."""

    def create(self, body: dict[str, Any], devices: DeviceArguments) -> str:
        body["HostConfig"]["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": list(devices.names)}]
        return self.engine.create(body)


@pytest.fixture(params=["plain nodes", "CDI"])
def launcher(request: pytest.FixtureRequest) -> Iterator[ContainerLauncher]:
    """As tenants over the host's root get their GPU, and as those of an image do."""
    with Containers(engine="podman", cpu_limit=0.5).opened() as opened:
        assert isinstance(opened, ContainerLauncher)
        with cdi.opened(opened.engine, host_root=request.param == "plain nodes") as gpus:
            yield dataclasses.replace(opened, gpus=gpus)
    assert own_files() == []


by_cdi = pytest.mark.parametrize("launcher", ["CDI"], indirect=True)


def own_files() -> list[Path]:
    return [path for folder in folders() for path in folder.glob(f"bench_{Owner.this()}_*")]


def folders() -> list[Path]:
    """Where descriptions may lie that bench has made."""
    return [*DIRECTORIES, state_folder("cdi")]


def device_of(board: Board) -> Device:
    return Device("cuda", "a rehearsed GPU", (0,), 0, rehearsal=True, gpu=board.gpu)


@contextmanager
def slices(board: Board, *profiles: str) -> Iterator[tuple[Slot, ...]]:
    partition = MigProfiles(profiles=profiles)
    with partition.applied(device_of(board)) as slots:
        yield slots


def test_each_container_has_the_mig_device_of_its_slot(launcher: ContainerLauncher, tmp_path: Path) -> None:
    with slices(Board(tmp_path), "3g", "2g", "1g", "1g") as slots:
        code = f"say(value={SEEN}); sys.stdin.readline()"
        opened = [tenant(launcher, code, slot) for slot in slots]
        links = [context.__enter__() for context in opened]
        try:
            seen = [message["value"] for message in said(*links)]
        finally:
            for context in opened:
                context.__exit__(None, None, None)
    assert [one["device"] for one in seen] == [slot.gpu for slot in slots]
    assert len({slot.gpu for slot in slots}) == 4
    for one, slot in zip(seen, slots, strict=True):
        instance = f"gi{slot.gpu_instance}"
        assert one["nodes"] == sorted(["ctl", "gpu0", instance, f"{instance}-ci0"])
        assert one["arrived"] is None


def test_a_node_can_be_opened_by_the_tenant(launcher: ContainerLauncher, tmp_path: Path) -> None:
    with slices(Board(tmp_path), "7g") as (slot,):
        read = f"open('/dev/bench-rehearsal/gi{slot.gpu_instance}', 'rb').read()"
        assert asked(launcher, f"{read}.decode()", slot) == ""


def test_without_mig_it_is_the_whole_gpu(launcher: ContainerLauncher, tmp_path: Path) -> None:
    board = Board(tmp_path)
    slot = Slot(0, 1, env={"BENCH_REHEARSED_DRIVER": str(board.path), "CUDA_VISIBLE_DEVICES": board.gpu.address.uuid},
                gpu=board.gpu.address.uuid)  # fmt: skip
    seen = asked(launcher, SEEN, slot)
    assert seen == {"nodes": ["ctl", "gpu0"], "device": slot.gpu, "arrived": None}


def test_an_engine_that_knows_no_cdi_hands_out_plain_nodes(dockerd: Path, tmp_path: Path) -> None:
    with (
        Containers(engine="docker", socket=dockerd).opened() as launcher,
        slices(Board(tmp_path), "1g", "2g") as (slot, _),
    ):
        seen = asked(launcher, SEEN, slot)
        instance = f"gi{slot.gpu_instance}"
        assert seen["nodes"] == sorted(["ctl", "gpu0", instance, f"{instance}-ci0"])
        assert seen["arrived"] is None


def test_another_layout_within_one_run(launcher: ContainerLauncher, tmp_path: Path) -> None:
    board = Board(tmp_path)
    with slices(board, "3g", "3g") as before:
        assert asked(launcher, SEEN, before[0])["arrived"] is None
    with slices(board, "1g") as (slot,):
        assert asked(launcher, SEEN, slot)["device"] == slot.gpu
        with pytest.raises(StartFailed, match=f"no device {before[0].gpu} now"):
            launcher.start(["inside", "say()"], before[0], {})


@by_cdi
def test_an_engine_that_ignores_the_request_is_found_out(launcher: ContainerLauncher, tmp_path: Path) -> None:
    deaf = dataclasses.replace(launcher, gpus=Deaf(**vars(launcher.gpus)))
    told = "NotArrived: BENCH_REHEARSED_DEVICE should be {} in this container, and is not set"
    with slices(Board(tmp_path), "1g") as (slot,):
        code = f"""
try:
    {ARRIVED}
    say(value="all is well")
except Exception as error:
    say(value=f"{{type(error).__name__}}: {{error}}")
sys.stdin.readline()
"""
        with tenant(deaf, code, slot) as link:
            assert said(link)[0]["value"] == told.format(slot.gpu)


def test_the_rehearsed_driver_knows_its_client_while_it_lives(launcher: ContainerLauncher, tmp_path: Path) -> None:
    board = Board(tmp_path)
    with slices(board, "2g", "2g") as slots:
        with tenant(launcher, "say(); sys.stdin.readline()", slots[1]) as link:
            said(link)
            (context,) = state.read_living(board.path).contexts
            assert context.uuid == slots[1].gpu
            assert Path(f"/proc/{context.process.pid}/cmdline").read_bytes().split(b"\0")[3] == b"inside"
        assert state.read_living(board.path).contexts == ()


@by_cdi
def test_runs_side_by_side_have_kinds_of_their_own(launcher: ContainerLauncher, tmp_path: Path) -> None:
    """Two specifications that name one device alike would take it from both."""
    own = launcher.gpus.own
    other = dataclasses.replace(own, owner=Owner(own.owner.boot, own.owner.namespace, 1, 1))
    with slices(Board(tmp_path), "1g") as (slot,):
        try:
            names = [gpus.of(slot).names for gpus in (launcher.gpus, dataclasses.replace(launcher.gpus, own=other))]
            assert names[0] != names[1]
            assert asked(launcher, SEEN, slot)["arrived"] is None
        finally:
            other.remove()


def test_a_run_as_users_start_it(tmp_path: Path) -> None:
    gpu = tmp_path / "gpu.json"
    options = ("gpu=rehearsal/a100-40gb", f"gpu.state={gpu}", "partitions=[mig_1of3]", "isolation=[container]")
    result = run_bench("run", *SPECIMEN, *SHORT, *options, "isolation.container.engine=podman", cwd=tmp_path)
    (folder,) = run_folders(tmp_path / "results")
    trials = lines(folder)
    assert len(trials) == 2, result.stderr
    for trial in trials:
        assert trial["status"] != "failed", trial
        assert trial["tenants"] == 3
    assert state.read(gpu).instances == () and not state.read(gpu).mig
    assert [path for folder in folders() for path in folder.glob("bench_*")] == []


KILLED = """
import os, signal, sys
from pathlib import Path
from bench.isolation.cdi.own import OwnSpecifications
from bench.isolation.containers.owner import Owner

OwnSpecifications(Path(sys.argv[1]), Owner.this()).write("gpu", {"kind": "rehearsal.bench/gpu"})
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("folder", [DIRECTORIES[-1], None], ids=["of CDI", "of bench"])
def test_what_a_killed_run_left_is_removed_and_what_others_have_stays(folder: Path | None) -> None:
    folder = folder or state_folder("cdi")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = set(folder.glob("bench_*_gpu.json"))
    assert left
    theirs = folder / "vendor.json"
    theirs.write_text("{}")
    try:
        with Containers(engine="podman").opened():
            assert not any(path.exists() for path in left)
            assert theirs.exists()
    finally:
        theirs.unlink()


@by_cdi
def test_what_is_said_to_podman_is_what_docker_s_words_mean(launcher: ContainerLauncher) -> None:
    """One container is asked for by Docker's interface and one by podman's own. What the runtime is told is the same,
    but that podman adds folders to write to when it is asked by Docker's."""
    slot = Slot(0, 1, cpus=(0,))
    body = launcher._container(["inside", "sys.stdin.readline()"], slot, {}, (), DeviceArguments()).body()
    told = cdi_podman.specification(body, [])
    answer = launcher.engine.api.post(f"http+docker://localhost/{cdi_podman.CREATE}", json=told)
    theirs, ours = launcher.engine.create(body), answer.json()["Id"]
    try:
        docker, podman = (told_runtime(launcher, one) for one in (theirs, ours))
    finally:
        for one in (theirs, ours):
            launcher.engine.remove(one)
    for path in ("/run", "/var/tmp"):
        assert docker.pop(f"mount {path}")[0] == "tmpfs"
    del podman["mount /run/.containerenv"]  # an empty file, which lies in the other one's /run
    differing = {name: (docker[name], podman.get(name)) for name in docker if docker[name] != podman.get(name)}
    assert differing == {} and docker.keys() == podman.keys()
    assert docker["process"]["capabilities"] == {} and docker["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"


def told_runtime(launcher: ContainerLauncher, container: str) -> dict[str, Any]:
    """The OCI specification of a container, without what names it."""
    launcher.engine.start(container)
    url = f"http+docker://localhost/v4.0.0/libpod/containers/{container}/json"
    text = Path(launcher.engine.api.get(url).json()["OCIConfigPath"]).read_text()
    told: dict[str, Any] = json.loads(text.replace(container, "ID").replace(container[:12], "ID"))
    for name in ("annotations", "root"):
        del told[name]
    told["process"]["env"].sort()
    for mount in told.pop("mounts"):
        path = mount["destination"]
        told[f"mount {path}"] = (mount["type"], Path(mount["source"]).name, sorted(mount["options"]))
    del told["process"]["user"]  # its umask
    told["process"].pop("oomScoreAdj", None)  # 0 is none
    return told
