"""The script of `docker run` commands: run by a real sh, read by docker's own command line where that is installed."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from made_up_deployments import HOSTILE, cpu, deployments, gpu, service

from bench.emit.forms import emit
from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.deployment import Deployment

RECORDER = '#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done >>"$RECORD"\nprintf "END\\0" >>"$RECORD"\n'


MPS = '#!/bin/sh\n{ echo "$*"; [ "${1:-}" = -d ] || cat; env | grep ^CUDA_; } >>"$RECORD.mps"\nexit "${MPS_EXIT:-0}"\n'


def ran(folder: Path, deployment: Deployment, *words: str, rc: int = 0, **env: str) -> list[list[str]]:
    """The script is run by sh, with a docker that writes down its words: one list for each call. The daemon of MPS
    writes down words, input and environment (record.mps)."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, program in (("docker", RECORDER), ("nvidia-cuda-mps-control", MPS), ("mkdir", "#!/bin/sh\n")):
        (programs / name).write_text(program)
        (programs / name).chmod(0o755)
    record = folder / "record"
    record.write_bytes(b"")
    (folder / "record.mps").unlink(missing_ok=True)
    script = folder / "run.sh"
    script.write_text(emit("docker", deployment), encoding="utf-8")
    surroundings = {"PATH": f"{programs}:/usr/bin:/bin", "RECORD": str(record), **env}
    result = subprocess.run(["sh", str(script), *words], env=surroundings, capture_output=True, text=True, cwd=folder)
    assert result.returncode == rc and bool(result.stderr) == bool(rc), result.stderr
    assert not result.stdout, "nothing but docker says anything"
    calls = record.read_bytes().decode().split("END\0")[:-1]
    return [call.split("\0")[:-1] for call in calls]


@settings(max_examples=25)
@given(deployment=deployments())
def test_every_cell_makes_a_script_that_runs(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> None:
    runs = deployment.service
    assert runs is not None
    calls = ran(tmp_path_factory.getbasetemp(), deployment)
    assert len(calls) == deployment.tenants
    for index, words in enumerate(calls):
        name = f"{runs.name}-gpu0-{index}" if deployment.device_kind == "cuda" else f"{runs.name}-{index}"
        assert words[:4] == ["run", "--detach", "--name", name]
        image = words.index(runs.image)
        told = words[words.index("--entrypoint") + 1 : words.index("--entrypoint") + 2] if runs.command else []
        assert [*told, *words[image + 1 :]] == list(runs.command), "word for word"


def test_options(tmp_path: Path) -> None:
    first, second = ran(tmp_path, cpu("cpuset", service=service(command=("serve", "--a b", "$(id)"))))
    assert first[first.index("--cpuset-cpus") + 1] == "0-1" and second[second.index("--cpuset-cpus") + 1] == "2-3"
    assert second[second.index("--publish") + 1] == "127.0.0.1:8001:8000"
    assert first[-3:] == ["registry.example/team/resnet:1.4", "--a b", "$(id)"]
    assert "--gpus" not in first and {"--read-only", "no-new-privileges", "ALL"} <= set(first)


def test_what_lies_in_tmp_counts_as_memory(tmp_path: Path) -> None:
    small = cpu(tenants=1, peak_rss_bytes=80 * 2**20)
    for deployment, own_mib in ((small, 96 + 256), (cpu(tenants=1, service=service(memory_gib=4)), 4096)):
        (words,) = ran(tmp_path, deployment)
        tmp_mib = int(words[words.index("--tmpfs") + 1].partition("size=")[2].removesuffix("m"))
        assert words[words.index("--memory") + 1] == words[words.index("--memory-swap") + 1] == f"{own_mib + tmp_mib}m"


def test_devices_by_index(tmp_path: Path) -> None:
    def devices(deployment: Deployment, **env: str) -> list[str]:
        return [words[words.index("--gpus") + 1] for words in ran(tmp_path, deployment, **env)]

    assert devices(gpu()) == ["device=0"]
    assert devices(gpu(), GPU="3") == ["device=3"]
    assert devices(gpu("mig", 3, "3x2g"), GPU="1") == ["device=1:0", "device=1:1", "device=1:2"]
    assert devices(gpu("time_shared", 2)) == ["device=0", "device=0"]
    assert devices(gpu("time_shared", 2, "3g")) == ["device=0:0", "device=0:0"]


def test_it_says_on_how_many_devices_it_is_to_be_run(tmp_path: Path) -> None:
    three = gpu("time_shared", 2, devices=3, per_s=900.0, wanted_per_s=2500)
    assert len(ran(tmp_path, three)) == 2, "the tenants of one"
    head = emit("docker", three)
    assert "# It takes 3 devices for 2,500 items/s: plan with at most 900 items/s on each.\n" in head
    assert "run it on 3 devices: GPU=0, 1, 2 sh FILE" in head
    (loop,) = [line.removeprefix("#").strip() for line in head.splitlines() if line.startswith("#   for gpu in")]
    told = subprocess.run(
        ["sh", "-c", loop.replace("FILE", "run.sh")], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "RECORD": str(tmp_path / "record")},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    names = [call.split("\0")[3] for call in (tmp_path / "record").read_text().split("END\0")[2:-1]]
    assert names == [f"resnet-gpu{device}-{index}" for device in range(3) for index in range(2)]
    assert "run it for 40 GPUs" in emit("docker", gpu(devices=40))
    assert "run it on 3 such machines" in emit("docker", cpu(devices=3))
    assert "This file starts" not in emit("docker", gpu())


def test_mps_needs_its_daemon(tmp_path: Path) -> None:
    deployment = gpu("mps", 2, thread_percentage=40, memory_limit_mib=2048)
    for words in ran(tmp_path, deployment):
        assert {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=40", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT=0=2048M"} <= set(words)
        assert words[words.index("--ipc") + 1] == "host" and "CUDA_MPS_PIPE_DIRECTORY=/tmp/nvidia-mps-0" in words
    assert emit("docker", gpu("mps", 2)), "without a limit as well: this is where Kubernetes cannot follow"
    with pytest.raises(InfeasibleHere, match="UUID"):
        emit("docker", gpu("mps", 2, "3g"))
    with pytest.raises(InfeasibleHere, match="made by the program"):
        emit("docker", gpu("green_context", 2))


def test_each_gpu_has_its_own_daemon_names_and_ports(tmp_path: Path) -> None:
    deployment = gpu("mps", 2, thread_percentage=40)
    _, second = ran(tmp_path, deployment, GPU="1")
    daemon = (tmp_path / "record.mps").read_text().splitlines()
    assert daemon[0] == "-d" and {"CUDA_VISIBLE_DEVICES=1", "CUDA_DEVICE_ORDER=PCI_BUS_ID"} <= set(daemon)
    assert (
        "CUDA_MPS_PIPE_DIRECTORY=/tmp/nvidia-mps-1" in daemon and "CUDA_MPS_PIPE_DIRECTORY=/tmp/nvidia-mps-1" in second
    )
    assert second[second.index("--mount") + 1] == "type=bind,source=/tmp/nvidia-mps-1,target=/tmp/nvidia-mps-1"
    assert second[second.index("--name") + 1] == "resnet-gpu1-1"
    assert second[second.index("--publish") + 1] == "127.0.0.1:8003:8000", "after both of GPU 0"
    _, second = ran(tmp_path, deployment, GPU="1", FIRST_PORT="9000")
    assert second[second.index("--publish") + 1] == "127.0.0.1:9001:8000"


def test_tenants_of_mps_are_not_started_without_it(tmp_path: Path) -> None:
    for deployment, policy in ((gpu("mps", 2), "on-failure"), (gpu("time_shared", 2), "unless-stopped")):
        for words in ran(tmp_path, deployment):
            assert words[words.index("--restart") + 1] == policy
    assert ran(tmp_path, gpu("mps", 2), rc=1, MPS_EXIT="1") == [], "a daemon is there already, or none can start"


def test_stop_ends_the_daemon_too(tmp_path: Path) -> None:
    assert ran(tmp_path, gpu("mps", 2), "stop", GPU="1") == [["rm", "--force", "resnet-gpu1-0", "resnet-gpu1-1"]]
    assert "quit" in (tmp_path / "record.mps").read_text().splitlines()
    assert ran(tmp_path, cpu(), "stop") == [["rm", "--force", "resnet-0", "resnet-1"]]
    assert not (tmp_path / "record.mps").exists()
    assert ran(tmp_path, cpu(), "stpo", rc=2) == []


def test_ports_that_there_are_not() -> None:
    assert emit("docker", cpu(tenants=2, service=service(port=65534)))
    with pytest.raises(ConfigError, match="a port each"):
        emit("docker", cpu(tenants=2, service=service(port=65535)))


class Engine(BaseHTTPRequestHandler):
    """As much of docker's API as `docker run --detach` asks for. What it creates, it writes down."""

    protocol_version = "HTTP/1.1"
    created: list[dict[str, Any]]

    def _answer(self, status: int, content: Any = None) -> None:
        body = json.dumps(content).encode() if content is not None else b""
        self.send_response(status)
        self.send_header("Api-Version", "1.47")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._answer(200)

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/containers/create" in self.path:
            self.created.append(json.loads(body))
            self._answer(201, {"Id": "0" * 64, "Warnings": []})
        else:
            self._answer(204)

    def address_string(self) -> str:
        return ""

    def log_message(self, *words: Any) -> None:
        """Silent."""


@contextmanager
def engine(folder: Path) -> Iterator[tuple[dict[str, str], list[dict[str, Any]]]]:
    """What to set to reach it, and what it was asked to create."""
    created: list[dict[str, Any]] = []
    handler = type("Own", (Engine,), {"created": created})
    socket = folder / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(socket), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": str(folder), "PATH": os.environ["PATH"]}, created
        server.shutdown()


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker's command line is not installed")
def test_docker_understands_what_is_meant(tmp_path: Path) -> None:
    deployment = gpu("mig", 2, "2x3g", threads=3, service=service(command=("serve", HOSTILE[3])))
    script = tmp_path / "run.sh"
    script.write_text(emit("docker", deployment), encoding="utf-8")
    with engine(tmp_path) as (env, created):
        result = subprocess.run(["sh", str(script)], env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert len(created) == 2
    for index, told in enumerate(created):
        host = told["HostConfig"]
        (device,) = host["DeviceRequests"]
        assert device["DeviceIDs"] == [f"0:{index}"] and device["Capabilities"] == [["gpu"]]
        assert host["Memory"] == host["MemorySwap"] == (1080 + 256 + 512) * 2**20 and host["NanoCpus"] == 3 * 10**9
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["SecurityOpt"] == ["no-new-privileges"]
        assert host["Tmpfs"] == {"/tmp": "rw,exec,nosuid,nodev,size=512m"}
        assert host["PortBindings"] == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(8000 + index)}]}
        assert host["RestartPolicy"]["Name"] == "unless-stopped" and host["PidsLimit"] == 4096
        assert told["User"] == "10001:10001" and "OMP_NUM_THREADS=3" in told["Env"]
        assert told["Entrypoint"] == ["serve"] and told["Cmd"] == [HOSTILE[3]]
