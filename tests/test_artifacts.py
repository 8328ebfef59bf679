"""Artifacts are built once, found by content, and rebuilt when they are damaged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.errors import StoreError
from bench.measure import artifacts
from bench.optimizations.precision import Cast
from bench.runtimes.python_call import PythonCall
from workloads.calibration import Calibration


def build(cache: Path, name: str = "runtime-1", content: bytes = b"x" * 1000) -> artifacts.Artifact:
    folder = artifacts.fresh_folder(cache, name)
    (folder / "runtime").mkdir()
    (folder / "runtime" / "model.bin").write_bytes(content)
    (folder / artifacts.OUTPUTS).write_bytes(b"y" * 100)
    return artifacts.finish(cache, name, {"build_s": 1.5})


def test_what_was_built_is_found(tmp_path: Path) -> None:
    assert artifacts.find(tmp_path, "runtime-1") is None
    built = build(tmp_path)
    assert built.fresh
    found = artifacts.find(tmp_path, "runtime-1")
    assert found is not None
    assert (found.size_bytes, found.times_s, found.fresh) == (1100, {"build_s": 1.5}, False)
    assert not list(tmp_path.glob("*.tmp"))


MANIFESTS: dict[str, Callable[[str], str]] = {
    "manifest cut": lambda text: text[:40],
    "manifest garbage": lambda _: "[]",
    "manifest nested": lambda _: "[" * 100_000,
    "a time that is none": lambda text: text.replace("1.5", '"long"'),
    "no times": lambda text: text.replace('"build_s"', "3"),
    "an infinite time": lambda text: text.replace("1.5", "Infinity"),
    "an infinite size": lambda text: text.replace("1100", "1e999"),
    "a negative size": lambda text: text.replace("1100", "-1100"),
    "files without lengths": lambda text: text.replace('"size_bytes": 1000', '"size": 1000'),
}


@pytest.mark.parametrize("damage", ["cut", "lost", "changed", "manifest lost", *MANIFESTS])
def test_a_damaged_artifact_is_not_found_and_can_be_built_again(tmp_path: Path, damage: str) -> None:
    folder = build(tmp_path).folder
    model, manifest = folder / "runtime" / "model.bin", folder / artifacts.MANIFEST
    if damage == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    elif damage == "lost":
        model.unlink()
    elif damage == "manifest lost":
        manifest.unlink()
    elif damage == "changed":
        model.write_bytes(b"z" * 1000)
    else:
        manifest.write_text(MANIFESTS[damage](manifest.read_text()))
    assert artifacts.find(tmp_path, "runtime-1") is None
    build(tmp_path, content=b"new")
    assert artifacts.find(tmp_path, "runtime-1") is not None
    assert model.read_bytes() == b"new"


def test_a_build_that_was_killed_leaves_nothing_that_is_found(tmp_path: Path) -> None:
    folder = artifacts.fresh_folder(tmp_path, "runtime-1")
    (folder / "half").write_text("x")
    assert artifacts.find(tmp_path, "runtime-1") is None
    assert list(artifacts.fresh_folder(tmp_path, "runtime-1").iterdir()) == []


BUILDER = """
import sys, time
from pathlib import Path
from bench.measure import artifacts
cache = Path(sys.argv[1])
with artifacts.locked(cache, "runtime-1"):
    if artifacts.find(cache, "runtime-1") is None:
        folder = artifacts.fresh_folder(cache, "runtime-1")
        time.sleep(0.3)
        (folder / "model").write_text("x")
        artifacts.finish(cache, "runtime-1", {})
        print("built")
"""


def test_several_at_once_build_once(tmp_path: Path) -> None:
    builders = [
        subprocess.Popen([sys.executable, "-c", BUILDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [builder.communicate(timeout=60)[0].strip() for builder in builders]
    assert sorted(said) == ["", "", "", "built"]


def test_a_builder_that_is_killed_does_not_keep_others_out(tmp_path: Path) -> None:
    code = BUILDER.replace("time.sleep(0.3)", "print('building', flush=True); time.sleep(300)")
    killed = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "building\n"
    killed.kill()
    killed.wait()
    with artifacts.locked(tmp_path, "runtime-1"):
        assert artifacts.find(tmp_path, "runtime-1") is None


def test_the_key_depends_on_content_options_and_sources(tmp_path: Path) -> None:
    keys = [
        artifacts.key_of({"a": 1, "b": 2}, PythonCall()),
        artifacts.key_of({"a": 1, "b": 3}, PythonCall()),
        artifacts.key_of({"a": 1}, PythonCall()),
        artifacts.key_of({"a": 1, "b": 2}, PythonCall(), Cast(dtype="bfloat16")),
        artifacts.key_of({"a": 1, "b": 2}, Calibration()),
    ]
    assert len(set(keys)) == len(keys)
    assert artifacts.key_of({"b": 2, "a": 1}, PythonCall()) == keys[0]


def test_a_long_file_is_checked_by_its_length_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "HASHED_BYTES", 999)
    model = build(tmp_path).folder / "runtime" / "model.bin"
    model.write_bytes(b"z" * 1000)
    assert artifacts.find(tmp_path, "runtime-1") is not None
    model.write_bytes(b"z" * 1001)
    assert artifacts.find(tmp_path, "runtime-1") is None


@pytest.mark.parametrize("pattern", artifacts.MAKERS)
def test_what_makes_artifacts_is_where_the_key_looks_for_it(pattern: str) -> None:
    assert list(Path(bench.__file__).parent.glob(pattern))


def test_an_unwritable_cache_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match="cannot write the artifact cache") as caught,
        artifacts.locked(tmp_path / "file", "runtime-1"),
    ):
        pass
    assert "cache_dir=" in caught.value.hint
