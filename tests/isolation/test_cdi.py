"""From a slot's GPU to what each engine is given, without any engine: their answers are written by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from boards import Board
from cdi_files import GPU, OTHER_SLICE, SLICE, Machine, write

from bench.contract import Device, Slot, StartFailed
from bench.devices.mig import journal
from bench.devices.mig.journal import Journal
from bench.isolation.cdi import devices as cdi
from bench.isolation.cdi import own as cdi_own
from bench.isolation.cdi import podman as cdi_podman
from bench.isolation.cdi.arrival import EXPECTED
from bench.isolation.containers.owner import Owner, boot_id

SLOT = Slot(0, 1, env={"CUDA_VISIBLE_DEVICES": SLICE}, executes_on="cuda", gpu=SLICE, gpu_instance=7)
BODY: dict[str, Any] = {"Image": "i", "Cmd": ["c"], "Env": ["A=b=c"], "HostConfig": {"NetworkMode": "none"}}


class Answer:
    def __init__(self, status_code: int, content: Any) -> None:
        self.status_code = status_code
        self.content = content

    def json(self) -> Any:
        return json.loads(self.content) if isinstance(self.content, str) else self.content


class Api:
    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info = info
        self.answer = Answer(201, {"Id": "of podman"})
        self.posted: list[tuple[str, Any]] = []

    def info(self) -> Mapping[str, Any]:
        return self._info

    def post(self, url: str, json: Any) -> Answer:
        self.posted.append((url, json))
        return self.answer


class Engine:
    def __init__(self, kind: str, version: str, **info: Any) -> None:
        self.kind = kind
        self.version = version
        self.api = Api(info)
        self.created: list[dict[str, Any]] = []

    def create(self, body: dict[str, Any]) -> str:
        self.created.append(body)
        return "of docker"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A GPU with one slice, as podman finds it described."""
    made = Machine(tmp_path / "root")
    made.gpu(0, GPU)
    made.instance(0, 7, 156, {0: 157})
    monkeypatch.setattr(cdi, "DIRECTORIES", (tmp_path / "etc", tmp_path / "run"))
    monkeypatch.setattr(cdi, "PROC", made.proc)
    monkeypatch.setenv("BENCH_STATE_DIR", str(tmp_path / "state"))
    return made


def described(machine: Machine, folder: Path, caps: tuple[int, int] = (156, 157)) -> Path:
    return write(folder, "nvidia.json", machine.specification(machine.device(SLICE, 0, caps)))


def test_podman_is_asked_by_its_own_interface(machine: Machine, tmp_path: Path) -> None:
    described(machine, tmp_path / "etc")
    podman = Engine("podman", "4.3.1")
    with cdi.opened(podman) as gpus:
        devices = gpus.of(SLOT)
        assert devices.names == (f"nvidia.com/gpu={SLICE}",)
        assert devices.host_config == {}
        assert gpus.create(BODY, devices) == "of podman"
    ((url, told),) = podman.api.posted
    assert url.endswith("/v4.0.0/libpod/containers/create")
    assert told["devices"] == [{"path": f"nvidia.com/gpu={SLICE}"}]
    assert (told["image"], told["command"], told["env"]) == ("i", ["c"], {"A": "b=c"})
    assert podman.created == []


def test_docker_is_asked_for_a_cdi_device_where_it_knows_what_that_is(machine: Machine, tmp_path: Path) -> None:
    described(machine, tmp_path / "cdi")
    docker = Engine("docker", "26.1.5", CDISpecDirs=[str(tmp_path / "cdi")], Runtimes={"runc": {}})
    with cdi.opened(docker) as gpus:
        devices = gpus.of(SLOT)
        assert devices.host_config == {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={SLICE}"]}]}
        assert gpus.create(BODY, devices) == "of docker"
    expected = json.loads(devices.environment[EXPECTED])
    assert expected["uuid"] == SLICE
    assert "/dev/nvidia-caps/nvidia-cap156" in expected["nodes"] and "/dev/nvidiactl" in expected["nodes"]
    assert expected["environment"] == {"NVIDIA_VISIBLE_DEVICES": "void"}


@pytest.mark.parametrize("directories", [[], ["{}/cdi"]], ids=["no CDI", "nothing described"])
def test_nvidia_s_runtime_is_told_by_the_environment(machine: Machine, tmp_path: Path, directories: list[str]) -> None:
    folders = [folder.format(tmp_path) for folder in directories]
    docker = Engine("docker", "20.10.24", CDISpecDirs=folders, Runtimes={"runc": {}, "nvidia": {}})
    with cdi.opened(docker) as gpus:
        devices = gpus.of(SLOT)
    assert devices.host_config == {"Runtime": "nvidia"} and devices.names == ()
    assert devices.environment["NVIDIA_VISIBLE_DEVICES"] == SLICE
    assert devices.environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    told = json.loads(devices.environment[EXPECTED])
    assert told["environment"] == {"NVIDIA_VISIBLE_DEVICES": SLICE}
    assert told["nodes"] == ["/dev/nvidia-caps/nvidia-cap156", "/dev/nvidia-caps/nvidia-cap157", "/dev/nvidia0"]


def test_what_nvidia_s_runtime_hands_out_has_to_be_known(machine: Machine) -> None:
    machine.instance(1, 7, 300, {0: 301})  # which of the two is it?
    assert "does not tell which device nodes" in refusal(Engine("docker", "20.10.24", Runtimes={"nvidia": {}}))


@pytest.mark.parametrize("runtimes", [{}, {"nvidia": {}}])
def test_with_the_host_s_root_device_nodes_are_all_that_is_missing(
    machine: Machine, tmp_path: Path, runtimes: dict[str, Any]
) -> None:
    """No hook, no mount, no runtime of NVIDIA's, and no engine that knows CDI."""
    described(machine, tmp_path / "etc")
    paths = ["/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap156", "/dev/nvidia-caps/nvidia-cap157"]
    for engine in (Engine("podman", "4.3.1"), Engine("docker", "20.10.24", Runtimes=runtimes)):
        with cdi.opened(engine, host_root=True) as gpus:
            devices = gpus.of(SLOT)
            assert gpus.create({**BODY, "HostConfig": devices.host_config}, devices) == "of docker"
        assert devices.host_config == {
            "Devices": [
                {"PathOnHost": f"{machine.root}{path}", "PathInContainer": path, "CgroupPermissions": "rw"}
                for path in paths
            ]
        }
        assert devices.environment["NVIDIA_VISIBLE_DEVICES"] == "void"
        assert json.loads(devices.environment[EXPECTED])["nodes"] == sorted(paths)


def test_no_daemon_of_mps_is_joined_whose_pipe_a_description_hands_out(machine: Machine, tmp_path: Path) -> None:
    described(machine, tmp_path / "etc")
    engines = (Engine("podman", "4.3.1"), Engine("docker", "20.10.24", Runtimes={"nvidia": {}}))
    for engine, host_root in ((engines[0], False), (engines[0], True), (engines[1], False)):
        with cdi.opened(engine, host_root=host_root) as gpus:
            assert not Path(gpus.of(SLOT).environment["CUDA_MPS_PIPE_DIRECTORY"]).exists()


def test_an_engine_that_has_no_way_says_so(machine: Machine) -> None:
    with (
        cdi.opened(Engine("docker", "20.10.24", Runtimes={"runc": {}})) as gpus,
        pytest.raises(StartFailed, match=r"docker 20\.10\.24 has neither CDI"),
    ):
        gpus.of(SLOT)


def test_a_slot_of_the_cpu_needs_nothing(machine: Machine) -> None:
    engine = Engine("podman", "4.3.1")
    with cdi.opened(engine) as gpus:
        devices = gpus.of(Slot(0, 1))
        assert (devices.host_config, devices.environment, devices.names) == ({}, {}, ())
        assert gpus.create(BODY, devices) == "of docker"
        gpus.started(Slot(0, 1), os.getpid())


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (500, {"cause": "x", "message": "unresolvable CDI devices nvidia.com/gpu=0"}, "unresolvable CDI devices"),
        (500, [], "podman 4.3.1 says 500"),
        (201, {}, "podman 4.3.1 says 201"),
        (200, "<html>", "Expecting value"),
    ],
)
def test_what_podman_answers_otherwise(machine: Machine, tmp_path: Path, status: int, content: Any, words: str) -> None:
    described(machine, tmp_path / "etc")
    podman = Engine("podman", "4.3.1")
    podman.api.answer = Answer(status, content)
    with cdi.opened(podman) as gpus, pytest.raises(StartFailed, match=words):
        gpus.create(BODY, gpus.of(SLOT))


@pytest.mark.parametrize(
    "host_config",
    [
        {"NetworkMode": "bridge"},
        {"Privileged": True},
        {"SecurityOpt": ["seccomp=unconfined"]},
        {"Mounts": [{"Type": "volume", "Source": "a", "Target": "/a"}]},
        {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/a", "BindOptions": {"Propagation": "shared"}}]},
    ],
)
def test_what_podman_cannot_be_told_is_refused(machine: Machine, tmp_path: Path, host_config: dict[str, Any]) -> None:
    """A limit that gets lost between two interfaces would be a hole."""
    described(machine, tmp_path / "etc")
    podman = Engine("podman", "4.3.1")
    with cdi.opened(podman) as gpus, pytest.raises(StartFailed, match="is not known to be said to podman"):
        gpus.create({**BODY, "HostConfig": host_config}, gpus.of(SLOT))
    assert podman.api.posted == []


def test_what_docker_s_words_are_in_podman_s() -> None:
    host = {
        "Memory": 5, "MemorySwap": 6, "PidsLimit": 7, "CpusetCpus": "0,2", "NanoCpus": 1_500_000_000, "ShmSize": 8,
        "ReadonlyRootfs": True, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges", "label=disable"],
        "Tmpfs": {"/tmp": "rw,size=9"},
        "Mounts": [
            {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True},
            {"Type": "bind", "Source": "/c", "Target": "/c", "BindOptions": {"NonRecursive": True}},
        ],
    }  # fmt: skip
    told = cdi_podman.specification({**BODY, "User": "1:2", "OpenStdin": True, "HostConfig": host}, ["v/c=n"])
    assert told["resource_limits"] == {
        "memory": {"limit": 5, "swap": 6},
        "pids": {"limit": 7},
        "cpu": {"cpus": "0,2", "period": 100_000, "quota": 150_000},
    }
    assert [mount["destination"] for mount in told["mounts"]] == ["/tmp", "/b", "/c"]
    assert [mount["options"] for mount in told["mounts"][1:]] == [
        ["rbind", "rprivate", "ro"],
        ["bind", "rprivate", "rw"],
    ]
    assert told["no_new_privileges"] is True and told["read_only_filesystem"] is True and told["user"] == "1:2"


# --- descriptions that are not of the present --------------------------------------------------------------------


def refusal(engine: Engine, slot: Slot = SLOT, regenerate: bool = False) -> str:
    with cdi.opened(engine, regenerate) as gpus, pytest.raises(StartFailed) as caught:
        gpus.of(slot)
    return str(caught.value)


def test_an_outdated_specification_is_refused_with_the_command_that_mends_it(machine: Machine, tmp_path: Path) -> None:
    path = described(machine, tmp_path / "etc", (200, 201))
    told = refusal(Engine("podman", "4.3.1"))
    assert f"in {path} it names nvidia-cap200, nvidia-cap201" in told
    assert f"`nvidia-ctk cdi generate --output={path}`" in told


def test_a_specification_without_the_device_is_refused(machine: Machine, tmp_path: Path) -> None:
    described(machine, tmp_path / "etc")
    write(tmp_path / "etc", "broken.json", "{")
    told = refusal(Engine("podman", "4.3.1"), Slot(0, 1, gpu=OTHER_SLICE, gpu_instance=8))
    assert f"none has nvidia.com/gpu={OTHER_SLICE}" in told
    assert f"{tmp_path}/etc/broken.json: " in told
    assert f"--output={tmp_path}/run/nvidia.yaml" in told


def test_two_files_that_describe_the_same_device(machine: Machine, tmp_path: Path) -> None:
    described(machine, tmp_path / "etc")
    (tmp_path / "etc/other.json").write_bytes((tmp_path / "etc/nvidia.json").read_bytes())
    assert "both describe" in refusal(Engine("podman", "4.3.1"))


def bench_made_a_layout(boot: str | None = None) -> None:
    journal.write(Journal(uuid=GPU, was_on=False, kept=False, boot=boot or journal.this_boot()))


TOOLKIT = """#!/usr/bin/env python3
import json, os, sys
options = dict(argument[2:].split("=", 1) for argument in sys.argv[1:] if argument.startswith("--"))
assert sys.argv[1:3] == ["cdi", "generate"] and options["device-name-strategy"] == "uuid", sys.argv
content = json.load(open(os.environ["TEST_SPECIFICATION"]))
content["kind"] = options["vendor"] + "/" + options["class"]
json.dump(content, open(options["output"], "w"))
open(os.environ["TEST_SPECIFICATION"] + ".calls", "a").write("x")
"""


@pytest.fixture
def toolkit(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nvidia-ctk that knows the present."""
    program = write(tmp_path / "bin", "nvidia-ctk", TOOLKIT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    now = write(tmp_path, "now", machine.specification(machine.device(SLICE, 0, (156, 157))))
    monkeypatch.setenv("TEST_SPECIFICATION", str(now))
    return program


def test_regenerated_for_a_layout_that_bench_made(machine: Machine, toolkit: Path, tmp_path: Path) -> None:
    path = described(machine, tmp_path / "etc", (200, 201))
    before = path.read_text()
    bench_made_a_layout()
    with cdi.opened(Engine("podman", "4.3.1"), regenerate=True) as gpus:
        (name,) = gpus.of(SLOT).names
        assert gpus.of(SLOT).names == (name,)
        assert name.startswith("nvidia.bench/gpu-") and name.endswith(f"={SLICE}")
        assert path.read_text() == before, "what others wrote is theirs"
        assert len(list((tmp_path / "run").iterdir())) == 1
    assert list((tmp_path / "run").iterdir()) == []
    assert (tmp_path / "now.calls").read_text() == "x", "once is enough"


def test_not_regenerated_for_a_layout_that_somebody_else_made(machine: Machine, toolkit: Path, tmp_path: Path) -> None:
    described(machine, tmp_path / "etc", (200, 201))
    assert "nvidia-cap200" in refusal(Engine("podman", "4.3.1"), regenerate=True)
    bench_made_a_layout(boot="another one")
    assert "nvidia-cap200" in refusal(Engine("podman", "4.3.1"), regenerate=True)
    bench_made_a_layout()
    assert "nvidia-cap200" in refusal(Engine("podman", "4.3.1"), regenerate=False)
    assert not (tmp_path / "now.calls").exists()


def test_a_toolkit_that_is_missing_or_fails(machine: Machine, toolkit: Path, tmp_path: Path) -> None:
    described(machine, tmp_path / "etc", (200, 201))
    bench_made_a_layout()
    toolkit.write_text("#!/bin/sh\necho first >&2\necho failed to initialize NVML >&2\nexit 1\n")
    told = refusal(Engine("podman", "4.3.1"), regenerate=True)
    assert told == "nvidia-ctk cannot describe the GPUs: failed to initialize NVML"
    toolkit.unlink()
    assert "nvidia-ctk (nvidia-container-toolkit), which is not here" in refusal(Engine("podman", "4"), regenerate=True)


def test_a_toolkit_that_tells_of_the_past_is_not_believed(machine: Machine, toolkit: Path, tmp_path: Path) -> None:
    described(machine, tmp_path / "etc", (200, 201))
    bench_made_a_layout()
    write(tmp_path, "now", machine.specification(machine.device(SLICE, 0, (300, 301))))
    assert "nvidia-cap300" in refusal(Engine("podman", "4.3.1"), regenerate=True)
    assert list((tmp_path / "run").iterdir()) == []


# --- rehearsed GPUs -----------------------------------------------------------------------------------------------


def test_a_rehearsed_gpu_is_never_nvidia_s(machine: Machine, tmp_path: Path) -> None:
    board = Board(tmp_path)
    uuid = board.gpu.address.uuid
    slot = Slot(0, 1, env={"BENCH_REHEARSED_DRIVER": str(board.path), "CUDA_VISIBLE_DEVICES": uuid}, gpu=uuid)
    with cdi.opened(Engine("podman", "4.3.1")) as gpus:
        devices = gpus.of(slot)
        (path,) = (tmp_path / "run").iterdir()
        told = json.loads(path.read_text())
        assert told["kind"].startswith("rehearsal.bench/") and devices.names == (f"{told['kind']}={uuid}",)
        assert {node["hostPath"] for node in told["devices"][0]["containerEdits"]["deviceNodes"]} == {"/dev/null"}
        assert devices.environment["BENCH_REHEARSED_DRIVER"] == "", "its driver's file is not in the container"
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_that_cannot_be_written(machine: Machine, tmp_path: Path) -> None:
    board = Board(tmp_path)
    (tmp_path / "run").write_text("a file")
    slot = Slot(0, 1, env={"BENCH_REHEARSED_DRIVER": str(board.path)}, gpu=board.gpu.address.uuid)
    told = refusal(Engine("podman", "4.3.1"), slot)
    assert "which cannot be written" in told and str(tmp_path / "run") in told


def test_an_engine_without_cdi_cannot_have_a_rehearsed_gpu(machine: Machine, tmp_path: Path) -> None:
    board = Board(tmp_path)
    slot = Slot(0, 1, env={"BENCH_REHEARSED_DRIVER": str(board.path)}, gpu=board.gpu.address.uuid)
    assert "docker 20.10.24 does not take CDI devices" in refusal(Engine("docker", "20.10.24", Runtimes={}), slot)


def test_feasibility_of_a_rehearsed_gpu_is_told_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("cuda", "a rehearsed GPU", (0,), 0, rehearsal=True, gpu=Board(tmp_path).gpu)
    real = Device("cuda", "a GPU", (0,), 0, gpu=device.gpu)
    assert cdi.infeasible(device, directories=[tmp_path / "etc", tmp_path / "not/there/yet"]) is None
    monkeypatch.setattr(os, "access", lambda *_: False)
    for each, regenerate in ((device, False), (real, True)):
        told = cdi.infeasible(each, regenerate, [tmp_path / "etc", tmp_path / "run"])
        assert told is not None and "this user may not write" in told
    assert cdi.infeasible(real, False, [tmp_path]) is None
    assert cdi.infeasible(Device("cpu", "a CPU", (0,), 0), True, [tmp_path]) is None


def test_only_what_dead_runs_of_bench_left_is_removed(tmp_path: Path) -> None:
    me = Owner.this()
    dead = Owner(me.boot, me.namespace, 2**22 + 1, 1)
    names = {
        "dead": f"bench_{dead}_gpu.json",
        "of an earlier boot": f"bench_{Owner('0' * len(boot_id()), me.namespace, me.pid, 1)}_gpu.json",
        "alive": f"bench_{me}_gpu.json",
        "of another namespace": f"bench_{Owner(me.boot, '1', 2**22 + 1, 1)}_gpu.json",
        "not ours": "bench_of_somebody.json",
        "nvidia": "nvidia.json",
    }
    for name in names.values():
        write(tmp_path, name, "{}")
    cdi_own.remove_dead([tmp_path, tmp_path / "none"])
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {names[name] for name in ("alive", "of another namespace", "not ours", "nvidia")}
