"""A container that did not get its device, or got more, is found out inside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from cdi_files import SLICE, YAML, write

from bench.devices.cdi_specification import find, read_files
from bench.isolation.cdi.arrival import EXPECTED, NotArrived, check_arrival, check_cuda_arrival, expected

NODES = [
    "/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap156", "/dev/nvidia-caps/nvidia-cap157", "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools", "/dev/nvidiactl",
]  # fmt: skip


@pytest.fixture
def told(tmp_path: Path) -> dict[str, str]:
    """The environment of a container that has got its device."""
    write(tmp_path / "cdi", "nvidia.yaml", YAML)
    found = find(read_files([tmp_path / "cdi"]), "nvidia.com/gpu", SLICE)
    return {**expected(SLICE, found), "CUDA_VISIBLE_DEVICES": SLICE, "NVIDIA_VISIBLE_DEVICES": "void"}


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


def test_nvidia_s_runtime_is_checked_by_its_environment(tmp_path: Path) -> None:
    told = {**expected(SLICE, None, {"NVIDIA_VISIBLE_DEVICES": SLICE}), "CUDA_VISIBLE_DEVICES": SLICE}
    check_arrival({**told, "NVIDIA_VISIBLE_DEVICES": SLICE}, tmp_path)
    with pytest.raises(NotArrived):
        check_arrival(told, tmp_path)


@pytest.mark.parametrize(
    ("count", "uuid", "words"),
    [
        (1, SLICE, None),
        (1, SLICE.removeprefix("MIG-"), None),
        (1, SLICE.removeprefix("MIG-").upper(), None),
        (0, SLICE, "CUDA sees 0 devices"),
        (2, SLICE, "CUDA sees 2 devices"),
        (1, "another one", "CUDA sees the device another one"),
    ],
)
def test_what_cuda_sees(
    told: dict[str, str], monkeypatch: pytest.MonkeyPatch, count: int, uuid: str, words: str | None
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=uuid))
    if words is None:
        check_cuda_arrival(told)
    else:
        with pytest.raises(NotArrived, match=words):
            check_cuda_arrival(told)


def test_it_looks_at_its_own_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, EXPECTED, json.dumps({"uuid": "u", "nodes": ["/dev/null/x"], "environment": {}}))
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "u")
    with pytest.raises(NotArrived, match="/dev/null/x"):
        check_arrival()
