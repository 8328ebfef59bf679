"""A container that did not get its device, or got more, is found out inside it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cdi_files import GPU, SLICE, write

from bench.isolation.cdi import arrival
from bench.isolation.cdi.arrival import EXPECTED, NotArrived, check_arrival, check_cuda_arrival, expected

NOBODY = 65534
NODES = [
    "/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap156", "/dev/nvidia-caps/nvidia-cap157", "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools", "/dev/nvidiactl",
]  # fmt: skip


@pytest.fixture
def told() -> dict[str, str]:
    """The environment of a container that has got its device."""
    variables = {"NVIDIA_VISIBLE_DEVICES": "void"}
    return {**expected(SLICE, NODES, variables), "CUDA_VISIBLE_DEVICES": SLICE, "NVIDIA_VISIBLE_DEVICES": "void"}


@pytest.fixture
def inside(tmp_path: Path) -> Callable[..., Path]:
    """A container's root with these nodes, all of them /dev/null."""

    def made(*paths: str) -> Path:
        root = tmp_path / "root"
        for path in (*paths, "/dev/tty", "/dev/null"):
            (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (root / path[1:]).symlink_to("/dev/null")
        return root

    return made


def test_all_of_it_is_there(told: dict[str, str], inside: Callable[..., Path]) -> None:
    assert json.loads(told[EXPECTED])["nodes"] == sorted(NODES)
    check_arrival(told, inside(*NODES))


def test_where_no_device_was_to_arrive_there_is_nothing_to_check(tmp_path: Path) -> None:
    check_arrival({}, tmp_path)
    check_arrival({"CUDA_VISIBLE_DEVICES": SLICE}, tmp_path)
    check_cuda_arrival({"CUDA_VISIBLE_DEVICES": SLICE})


@pytest.mark.parametrize("missing", NODES)
def test_a_node_is_missing(told: dict[str, str], inside: Callable[..., Path], missing: str) -> None:
    with pytest.raises(NotArrived, match=f"there is no device node {missing} in"):
        check_arrival(told, inside(*(path for path in NODES if path != missing)))


def test_nodes_to_configure_and_to_watch_are_nobody_s_device(told: dict[str, str], inside: Callable[..., Path]) -> None:
    check_arrival(told, inside(*NODES, "/dev/nvidia-caps/nvidia-cap1", "/dev/nvidia-caps/nvidia-cap2"))


def test_a_whole_gpu_has_nothing_of_a_slice(inside: Callable[..., Path]) -> None:
    told = {**expected(GPU, ["/dev/nvidia1"], {}), "CUDA_VISIBLE_DEVICES": GPU}
    root = inside("/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap157")
    with pytest.raises(NotArrived, match="this container has /dev/nvidia-caps/nvidia-cap157, which"):
        check_arrival(told, root)
    (root / "dev/nvidia-caps/nvidia-cap157").unlink()
    check_arrival(told, root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes, and becomes another user")
def test_a_node_that_is_closed_to_the_tenant_is_told_with_its_mode(tmp_path: Path) -> None:
    """As NVreg_DeviceFileMode makes them. Capabilities are for reading alone, and graphics for members of a group."""
    modes = {"/dev/nvidia1": 0o660, "/dev/nvidia-caps/nvidia-cap156": 0o444, "/dev/dri/card1": 0o660}
    for path, mode in modes.items():
        node = tmp_path / path[1:]
        node.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(node, stat.S_IFCHR, os.makedev(1, 3))
        node.chmod(mode)
    told = {**expected(SLICE, modes, {}), "CUDA_VISIBLE_DEVICES": SLICE}
    user = f"node /dev/nvidia1 is crw-rw---- of user 0 and group 0 in this container, and user {NOBODY} may not open it"
    assert user in as_nobody(lambda: check_arrival(told, tmp_path), tmp_path)
    (tmp_path / "dev/nvidia1").chmod(0o666)
    assert as_nobody(lambda: check_arrival(told, tmp_path), tmp_path) == "nothing"


def as_nobody(check: Callable[[], None], folder: Path) -> str:
    """What it complains of in a process of another user's, for whom the folder's parents are open."""
    parents = [path for path in (folder, *folder.parents) if not path.stat().st_mode & stat.S_IXOTH]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in parents}
    for path, mode in modes.items():
        path.chmod(mode | stat.S_IXOTH)
    read, written = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            check()
            os.write(written, b"nothing")
        except BaseException as error:
            os.write(written, str(error).encode())
        finally:
            os._exit(0)
    os.close(written)
    with os.fdopen(read) as told:
        complaint = told.read()
    os.waitpid(pid, 0)
    for path, mode in modes.items():
        path.chmod(mode)
    return complaint


@pytest.mark.parametrize("surplus", ["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap158"])
def test_a_node_of_another_device_is_there(told: dict[str, str], inside: Callable[..., Path], surplus: str) -> None:
    with pytest.raises(NotArrived, match=f"this container has {surplus}, which"):
        check_arrival(told, inside(*NODES, surplus))


def test_links_that_hooks_make_are_nobody_s_device(told: dict[str, str], inside: Callable[..., Path]) -> None:
    root = inside(*NODES)
    (root / "dev/nvidia-caps/by-path").mkdir()
    write(root, "dev/nvidia-caps/notes", "")
    check_arrival(told, root)


def test_a_file_is_no_device(told: dict[str, str], inside: Callable[..., Path]) -> None:
    root = inside(*NODES)
    (root / "dev/nvidia1").unlink()
    write(root, "dev/nvidia1", "")
    with pytest.raises(NotArrived, match="/dev/nvidia1"):
        check_arrival(told, root)


@pytest.mark.parametrize(
    ("name", "value"),
    [("CUDA_VISIBLE_DEVICES", "0"), ("NVIDIA_VISIBLE_DEVICES", "all"), ("NVIDIA_VISIBLE_DEVICES", None)],
)
def test_the_environment_is_another(
    told: dict[str, str], inside: Callable[..., Path], name: str, value: str | None
) -> None:
    environment = {**told, name: value} if value else {key: told[key] for key in told if key != name}
    with pytest.raises(NotArrived, match=f"{name} should be"):
        check_arrival(environment, inside(*NODES))


CUDA = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static const char *told(const char *name) { const char *value = getenv(name); return value ? value : ""; }
int cuInit(unsigned flags) { return atoi(told("FAKE_INIT")); }
int cuDeviceGetCount(int *count) { *count = strlen(told("FAKE_UUIDS")) / 32; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
#ifndef OLD
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    for (int i = 0; i < 16; i++) sscanf(told("FAKE_UUIDS") + 32 * device + 2 * i, "%2hhx", uuid + i);
    return atoi(told("FAKE_STATUS"));
}
#endif
"""
"""A libcuda that sees the UUIDs in its environment."""


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As it is, and as it was before CUDA 11.4."""
    if shutil.which("cc") is None:
        pytest.skip("no compiler")
    folder = tmp_path_factory.mktemp("cuda")
    source = write(folder, "cuda.c", CUDA)
    made = {"now": [], "old": ["-DOLD"]}
    for name, options in made.items():
        subprocess.run(["cc", "-shared", "-fPIC", *options, "-o", folder / f"{name}.so", source], check=True)
    return {name: str(folder / f"{name}.so") for name in made}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"FAKE_UUIDS": [SLICE]}, None),
        ({"FAKE_UUIDS": []}, "CUDA sees 0 devices"),
        ({"FAKE_UUIDS": [], "FAKE_INIT": "100"}, "CUDA sees 0 devices"),
        ({"FAKE_UUIDS": [], "FAKE_INIT": "999"}, "cuInit returns 999"),
        ({"FAKE_UUIDS": [SLICE, GPU]}, "CUDA sees 2 devices"),
        ({"FAKE_UUIDS": [GPU]}, f"CUDA sees the device {GPU.removeprefix('GPU-')}"),
        ({"FAKE_UUIDS": [SLICE], "FAKE_STATUS": "1"}, "cuDeviceGetUuid_v2 returns 1"),
    ],
)
def test_what_cuda_sees(
    told: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    libraries: dict[str, str],
    environment: dict[str, str | list[str]],
    words: str | None,
) -> None:
    monkeypatch.setattr(arrival, "LIBCUDA", libraries["now"])
    for name, value in environment.items():
        monkeypatch.setenv(name, "".join(value).replace("MIG-", "").replace("GPU-", "").replace("-", ""))
    if words is None:
        check_cuda_arrival(told)
    else:
        with pytest.raises(NotArrived, match=words):
            check_cuda_arrival(told)


def test_a_cuda_that_cannot_be_asked(
    told: dict[str, str], monkeypatch: pytest.MonkeyPatch, libraries: dict[str, str]
) -> None:
    monkeypatch.setenv("FAKE_UUIDS", "0" * 32)
    for library, words in ((libraries["old"], "undefined symbol: cuDeviceGetUuid_v2"), ("no.so", "no.so: cannot open")):
        monkeypatch.setattr(arrival, "LIBCUDA", library)
        with pytest.raises(NotArrived, match=words):
            check_cuda_arrival(told)


def test_it_looks_at_its_own_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, EXPECTED, json.dumps({"uuid": "u", "nodes": ["/dev/null/x"], "environment": {}}))
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "u")
    with pytest.raises(NotArrived, match="/dev/null/x"):
        check_arrival()
