"""What of the host a container without an image gets to see: all that Python needs, each under its own name."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

import bench
from bench.contract import Device
from bench.isolation.container import Containers
from bench.isolation.containers import host_root
from bench.isolation.containers.host_root import binds, skeleton


def reachable(path: Path, found: list[tuple[Path, Path]]) -> bool:
    """Whether a path's real file is behind that path's name in the container."""
    for source, target in found:
        if path.is_relative_to(target):
            return (source / path.relative_to(target)).resolve() == path.resolve()
    return False


def test_python_its_environment_and_bench_are_there() -> None:
    found = binds(host_root.of_host())
    for path in (Path("/usr/lib"), Path(sys.prefix), Path(sys.base_prefix), Path(bench.__file__)):
        assert reachable(path, found), path
    assert reachable(Path(sys.executable), found)


@pytest.fixture(autouse=True)
def mounts(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a machine where nothing is mounted."""
    path = tmp_path_factory.mktemp("proc") / "mountinfo"
    path.touch()
    monkeypatch.setattr(host_root, "MOUNTS", path)
    return path


def test_what_is_mounted_below_a_folder_is_bound_by_itself(mounts: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    for name in ("in ner/most", "beside"):
        (real / name).mkdir(parents=True)
    link.symlink_to(real)
    escaped = f"{real}/in\\040ner"
    points = ["/", "/none", str(tmp_path), str(real), f"{escaped}/most", escaped, escaped, f"{real}/gone"]
    mounts.write_text("".join(f"33 1 0:9 / {path} rw - tmpfs x rw\n" for path in points))
    inner = [Path(), Path("in ner"), Path("in ner/most")]
    assert binds([link]) == [(real / path, target / path) for target in (real, link) for path in inner]
    assert binds([real / "beside"]) == [(real / "beside", real / "beside")]


def test_what_would_show_the_whole_home_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home/user"
    (home / "code").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    (home / "code/up").symlink_to(home)
    for path in (Path("/"), tmp_path, home, home / "code/..", home / "code/up"):
        assert f"{path} would show" in str(host_root.too_much([home / "code", path]))
    assert host_root.too_much([home / "code", tmp_path / "home/other", Path("/usr")]) is None
    monkeypatch.setenv("PYTHONPATH", "/")
    told = Containers().infeasible(Device("cpu", "a CPU", (0,), 0))
    assert told is not None and "PYTHONPATH or `folders`: / would show" in told


def test_what_this_user_may_not_look_at_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def closed(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)
    assert not host_root.is_there(tmp_path)


def test_nothing_is_bound_twice() -> None:
    targets = [target for _, target in binds([*host_root.of_host(), *host_root.of_host()])]
    assert len(set(targets)) == len(targets)
    assert not [(one, other) for one in targets for other in targets if one != other and one.is_relative_to(other)]


def test_what_a_link_leads_to_is_there_under_both_names(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    assert binds([link / ".." / "link", tmp_path / "none"]) == [(real, real), (real, link)]
    assert binds([link, tmp_path]) == [(tmp_path, tmp_path)]


def test_an_interpreter_that_links_lead_to(tmp_path: Path) -> None:
    """A virtual environment over an installation that is known by another name, as uv makes them."""
    (tmp_path / "cpython-3.11.7" / "bin").mkdir(parents=True)
    (tmp_path / "cpython-3.11.7" / "bin" / "python").touch()
    (tmp_path / "cpython-3.11").symlink_to("cpython-3.11.7")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.symlink_to(tmp_path / "cpython-3.11" / "bin" / "python")
    found = binds([tmp_path / "venv", tmp_path / "cpython-3.11", *host_root._hops(python)])
    assert reachable(python, found)
    assert reachable(tmp_path / "cpython-3.11" / "bin" / "python", found)


def test_the_skeleton_is_the_same_each_time_and_holds_no_file_of_the_host() -> None:
    tag, content = skeleton()
    assert (tag, content) == skeleton()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
    assert [name for name, entry in entries.items() if entry.isfile()] == ["etc/passwd"]
    assert {entry.mtime for entry in entries.values()} == {0}
    assert len(content) < 2**15


def test_entries_of_python_path_that_are_not_there_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("PYTHONPATH", "here::/no/such/folder")
    assert host_root.python_path() == [tmp_path / "here"]
