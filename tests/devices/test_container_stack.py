"""What containers are made with: read from what programs say of themselves, which is written here as they say it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.devices.container_stack import container_stack, words

SAID = {
    "podman": "podman version 4.3.1\n",
    "docker": "Docker version 28.2.2, build e6534b4\n",
    "dockerd": "Docker version 20.10.24+dfsg1, build 5d6db84\n",
    "runc": "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8\nlibseccomp: 2.5.4\n",
    "crun": "crun version 1.8.1\ncommit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30\nrundir: /run/crun\nspec: 1.0.0\n",
    "conmon": "conmon version 2.1.6\ncommit: unknown\n",
    "nvidia-ctk": "NVIDIA Container Toolkit CLI version 1.12.0\ncommit: 62bd015475656ef795cb0d59cc4030a6bd4a9526\n",
}
"""The last one from NVIDIA/nvidia-container-toolkit#50, the others from Debian 12."""


def test_versions_of_what_is_installed(tmp_path: Path) -> None:
    found = container_stack(SAID.get, [tmp_path], tmp_path)
    assert found == {
        "podman": "4.3.1", "docker": "28.2.2", "dockerd": "20.10.24+dfsg1", "runc": "1.1.5+ds1", "crun": "1.8.1",
        "conmon": "2.1.6", "nvidia_container_toolkit": "1.12.0", "nvidia_container_runtime": None, "cgroup": None,
        "cdi": [],
    }  # fmt: skip
    assert words(found) == [
        "containers podman 4.3.1, docker 28.2.2, dockerd 20.10.24+dfsg1, runc 1.1.5+ds1, crun 1.8.1, conmon 2.1.6, "
        "nvidia-ctk 1.12.0, no cgroups"
    ]


def test_nothing_is_installed(tmp_path: Path) -> None:
    found = container_stack(lambda _: None, [tmp_path], tmp_path)
    assert {found[name] for name in found if name != "cdi"} == {None}
    assert words(found) == ["containers no engine is installed, no cgroups"]


@given(said=st.text(max_size=60))
def test_whatever_a_program_says(said: str) -> None:
    found = container_stack(lambda _: said, [], Path("/nowhere"))
    assert found["podman"] == "unknown" or found["podman"] in said
    assert json.loads(json.dumps(found)) == found


def test_a_program_that_fails_is_installed_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, line in {"podman": "exit 1", "runc": "echo runc version 1.2.3; exit 2"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "crun").write_text("no program")
    (tmp_path / "crun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = container_stack(directories=[])
    assert (found["podman"], found["runc"], found["crun"], found["docker"]) == ("unknown", "1.2.3", "unknown", None)


@pytest.mark.parametrize(
    ("paths", "version"),
    [
        (["cgroup.controllers", "unified/cgroup.controllers"], "v2"),
        (["unified/cgroup.controllers", "memory/cgroup.procs"], "hybrid"),
        (["memory/cgroup.procs"], "v1"),
        ([], None),
    ],
)
def test_cgroups(tmp_path: Path, paths: list[str], version: str | None) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert container_stack(lambda _: None, [], tmp_path)["cgroup"] == version


def test_cdi_specifications_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    content = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "0"}, {"name": "1"}]}
    (tmp_path / "nvidia.json").write_text(json.dumps(content))
    (tmp_path / "other.yaml").write_text("- a\n")
    good, bad = container_stack(lambda _: None, [tmp_path], tmp_path)["cdi"]
    assert (good["kind"], good["version"], good["devices"], good["fault"]) == ("nvidia.com/gpu", "0.5.0", 2, None)
    assert len(good["sha256"]) == 64 and good["sha256"] != bad["sha256"]
    assert bad["kind"] is None and bad["fault"]
    told = words(container_stack(lambda _: None, [tmp_path], tmp_path))
    assert told[1] == f"           {tmp_path}/nvidia.json: 2 x nvidia.com/gpu, CDI 0.5.0"
    assert told[2].startswith(f"           {tmp_path}/other.yaml: ")
