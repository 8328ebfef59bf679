"""`bench image`: what it tells without an engine, and the wheels that images are made of."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness import run_bench, three_lines
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InfeasibleHere
from bench.isolation.containers.owner import Owner, start_ticks
from bench.isolation.images import build as image_build
from bench.isolation.images import find as images
from bench.isolation.images import wheels as image_wheels
from bench.isolation.images.base import check_python
from bench.isolation.images.leftovers import remove_leftovers

ROOT = Path(__file__).parents[1]


def quiet(text: str) -> None:
    return


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["build", "--extras", "cpuu"], 2, "no extra cpuu"),
        (["build", "--extras", "cpu,ort-cuda"], 2, "exclude each other"),
        (["list", "--base", "x"], 2, "--base is for bench image build"),
        (["build"], 3, "there is no socket /nowhere"),
        (["list", "--engine", "docker"], 3, "there is no socket /nowhere"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], code: int, told: str, tmp_path: Path) -> None:
    nowhere = {"CONTAINER_HOST": "unix:///nowhere", "DOCKER_HOST": "unix:///nowhere"}
    result = run_bench("image", *arguments, cwd=tmp_path, env=nowhere)
    assert result.returncode == code, result.stderr
    assert told in three_lines(result.stderr)[0]
    assert result.stdout == ""


class Engine:
    """As much of a client as tells of a base."""

    def __init__(self, told: bytes, status: int = 0) -> None:
        self.containers = self
        self._told, self._status, self.removed = told, status, 0

    def create(self, *arguments: Any, **options: Any) -> Engine:
        assert options["network_mode"] == "none"
        return self

    def start(self) -> None:
        return

    def wait(self, timeout: float) -> dict[str, int]:
        return {"StatusCode": self._status}

    def logs(self) -> bytes:
        return self._told

    def remove(self, force: bool) -> None:
        self.removed += 1


@pytest.mark.parametrize(
    ("told", "status", "reason"),
    [
        (b"CPython 3 9 x86_64 glibc 2.31\n", 0, "has CPython 3.9 on x86_64 glibc, and bench runs on"),
        (b"PyPy 3 11 x86_64 glibc 2.31\n", 0, "has PyPy 3.11"),
        (b"CPython 3 11 x86_64 musl 1\n", 0, "musl"),
        (b"", 0, "has"),
        (b"/usr/bin/python3: \xff not found\n", 127, "no python3 that starts: /usr/bin/python3"),
        (b"", 125, "exit status 125"),
    ],
)
def test_a_base_with_another_python_is_refused_in_words(told: bytes, status: int, reason: str) -> None:
    engine = Engine(told, status)
    with pytest.raises(InfeasibleHere) as caught:
        check_python(engine, "base:1", "sha256:0", {}, None)
    assert reason in caught.value.what
    assert engine.removed == 1


class Images:
    """As much of a client as knows of images without a name."""

    def __init__(self, labels: dict[str, dict[str, str]]) -> None:
        self.containers = self.images = self
        self._labels, self.removed = labels, list[str]()

    def list(self, filters: dict[str, Any], **options: Any) -> list[Any]:
        found = self._labels if filters.get("dangling") else {}
        return [SimpleNamespace(id=name, labels=labels) for name, labels in found.items()]

    def remove(self, name: str) -> None:
        self.removed.append(name)


def test_what_a_user_makes_of_an_image_is_no_step_of_its_build() -> None:
    this, parent = Owner.this(), os.getppid()
    dead = {images.BUILD: str(dataclasses.replace(this, pid=2**22 + 1))}
    alive = {images.BUILD: str(dataclasses.replace(this, pid=parent, start_ticks=start_ticks(parent)))}
    client = Images({"step": dead, "a user's": {**dead, images.VARIANT: "slim"}, "of a living build": alive})
    remove_leftovers(client)
    assert client.removed == ["step"]


CONTENTS = st.dictionaries(st.text(min_size=1, max_size=9), st.binary(max_size=9), max_size=4)


@given(
    st.lists(st.tuples(st.sampled_from(images.VARIANTS), st.sampled_from(["a", "b"]), CONTENTS), min_size=2, max_size=2)
)
def test_images_are_named_alike_only_if_they_hold_the_same(
    pair: list[tuple[str, str, dict[str, bytes | Path]]],
) -> None:
    first, second = (image_build._digest(*parts) for parts in pair)
    assert (first == second) == (pair[0] == pair[1])
    assert first == image_build._digest(pair[0][0], pair[0][1], dict(reversed(pair[0][2].items())))


def test_what_is_sent_is_a_tar_of_the_contents(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "t.tar").write_bytes(b"".join(image_build._context({"a/b": b"12", "c": large, "d": b""})))
    shutil.unpack_archive(tmp_path / "t.tar", tmp_path / "out", filter="data")
    assert (tmp_path / "out/a/b").read_bytes() == b"12"
    assert (tmp_path / "out/c").read_bytes() == large.read_bytes()
    assert (tmp_path / "out/d").read_bytes() == b""


# --- wheels -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of bench, made of a copy of its sources, so that nobody changes them meanwhile."""
    folder = tmp_path_factory.mktemp("tree")
    tree = copy_of_sources(folder / "tree")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, tree], check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


def copy_of_sources(folder: Path) -> Path:
    folder.mkdir()
    for name in ("bench", "workloads", "configs"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "Containerfile"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls a Python that has the wheel installed, and borrows everything else from ours."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def call(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    return call


OWN = (
    "from bench.isolation.images.wheels import _own_wheel, _source_tree; from pathlib import Path;"
    "p = Path('own'); p.mkdir(exist_ok=True); print(_own_wheel(p, _source_tree()))"
)


@pytest.mark.slow
def test_of_an_installed_bench_the_same_wheel_is_made_again(installed: Any, wheel: Path, tmp_path: Path) -> None:
    result = installed(OWN)
    assert result.returncode == 0, result.stderr
    made = tmp_path / result.stdout.strip()
    assert made.name == wheel.name
    with zipfile.ZipFile(wheel) as original, zipfile.ZipFile(made) as again:
        assert set(again.namelist()) == set(original.namelist())
        for name in set(original.namelist()):
            if not name.endswith("RECORD"):
                assert again.read(name) == original.read(name)
    assert images.code_in(made) == images.code_in(wheel)
    first = made.read_bytes()
    assert installed(OWN).returncode == 0
    assert made.read_bytes() == first, "the same installation makes the same wheel, to the byte"


@pytest.mark.slow
def test_what_was_changed_after_its_installation_goes_into_no_image(installed: Any, tmp_path: Path) -> None:
    (path,) = (tmp_path / "venv").rglob("site-packages/bench/clock.py")
    path.write_text(path.read_text() + "\n# changed\n")
    result = installed(OWN)
    assert result.returncode == 1
    assert "a file of bench was changed after it was installed" in result.stderr and "clock.py" in result.stderr


@pytest.mark.slow
def test_sources_that_make_no_wheel_are_told(tmp_path: Path) -> None:
    tree = copy_of_sources(tmp_path / "tree")
    (tree / "pyproject.toml").write_text((tree / "pyproject.toml").read_text().replace("bench", "ben ch", 1))
    with pytest.raises(InfeasibleHere, match="no wheel of bench can be built"):
        image_wheels._own_wheel(tmp_path, tree)


@pytest.mark.slow
def test_sources_other_than_those_that_run_are_told(tmp_path: Path) -> None:
    tree = copy_of_sources(tmp_path / "tree")
    (tree / "bench/clock.py").write_text("")
    with pytest.raises(InfeasibleHere, match="the installed bench is not the one that runs"):
        image_wheels._own_wheel(tmp_path, tree)


@pytest.mark.slow
def test_wheels_that_cannot_be_had_are_told_and_what_was_begun_is_gone(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_wheels, "_own_wheel", lambda folder, tree: wheel)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with (
        pytest.raises(InfeasibleHere, match="the wheels cannot be had") as caught,
        image_wheels.collected(tmp_path, [], quiet),
    ):
        pass
    assert "PIP_FIND_LINKS" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
