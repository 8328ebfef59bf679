"""Another version: of a repository, a package, an environment; and tenants that notice when they run something else."""

from __future__ import annotations

import json
import subprocess
import sys
import types
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from repositories import git

import bench
from bench.contract import Launcher, Slot
from bench.errors import InputError
from bench.isolation.process import start_process
from bench.isolation.versions.arrived import VARIABLE, Expected, OtherVersion, check_version, mark_version
from bench.isolation.versions.commit import Commit, WorkingTree
from bench.isolation.versions.interpreter import Interpreter
from bench.isolation.versions.package import Package
from bench.isolation.versions.unpacked import empty_folder

SLOT = Slot(index=0, threads=1)
SHOWN = """
import json, sys
import {module}
print(json.dumps([{module}.VALUE, {module}.__file__, sys.path]))
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A package below src/ whose first commit says 1, whose second says 2, and whose working tree says 3."""
    root = tmp_path / "project"
    (root / "src" / "mine").mkdir(parents=True)
    git(root.parent, "init", "-q", str(root))
    (root / "src" / "mine" / "__init__.py").write_text("")
    for number in (1, 2):
        (root / "src" / "mine" / "work.py").write_text(f"VALUE = {number}\n")
        git(root, "add", "-A")
        git(root, "commit", "-qm", f"number {number}")
    (root / "src" / "mine" / "work.py").write_text("VALUE = 3\n")
    return root


def imported(launcher: Launcher, module: str, folder: Path, environment: Mapping[str, str] | None = None) -> Any:
    """What a tenant of this launcher imports as `module`: its VALUE, its file, its import path."""
    (folder / "showing").mkdir(exist_ok=True)
    (folder / "showing" / "shown.py").write_text(SHOWN.format(module=module))
    path = ":".join(filter(None, [str(folder / "showing"), (environment or {}).get("PYTHONPATH")]))
    process = launcher.start(["shown"], SLOT, {**(environment or {}), "PYTHONPATH": path})
    try:
        with open(process.fileno()[1], closefd=False) as out, open(process.fileno()[2], closefd=False) as said:
            told, words = out.read(), said.read()
        assert process.wait(30) == 0, words
        return json.loads(told)
    finally:
        process.end()


def wheel(folder: Path, version: str, value: int) -> Path:
    """A wheel of one module, by hand."""
    path = folder / f"onemodule-{version}-py3-none-any.whl"
    info = f"onemodule-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("onemodule.py", f"VALUE = {value}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: onemodule\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"onemodule.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def test_tenants_import_the_revision_and_the_repository_stays_as_it_is(repository: Path, tmp_path: Path) -> None:
    before = git(repository, "status", "--porcelain=v2", "--branch"), git(repository, "worktree", "list")
    source = {"PYTHONPATH": str(repository / "src")}
    with Commit(revision="HEAD~1", repository=repository).opened() as launcher:
        value, file, _ = imported(launcher, "mine.work", tmp_path, source)
        assert value == 1
        assert not Path(file).is_relative_to(repository)
        assert launcher.version == {"commit": git(repository, "rev-parse", "HEAD~1").strip()}
    assert not Path(file).exists(), "what was unpacked is gone with the run"
    assert (git(repository, "status", "--porcelain=v2", "--branch"), git(repository, "worktree", "list")) == before


def test_where_packages_usually_lie_is_found_without_a_path(repository: Path, tmp_path: Path) -> None:
    with Commit(revision="HEAD", repository=repository / "src").opened() as launcher:
        assert imported(launcher, "mine.work", tmp_path)[0] == 2


def test_an_environment_inside_the_repository_is_no_part_of_the_revision(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = repository / ".venv" / "lib" / "site-packages"
    (installed / "other").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(repository / ".venv"))
    monkeypatch.setattr(sys, "path", [str(installed), str(repository / "src")])
    with Commit(revision="HEAD", repository=repository).opened() as launcher:
        first = launcher.first  # type: ignore[attr-defined]
    assert [Path(part).name for part in first] == ["src"]


@pytest.mark.parametrize("revision", ["nowhere", "--help", "HEAD~7", ""])
def test_a_revision_that_is_not_there(repository: Path, revision: str) -> None:
    with pytest.raises(InputError) as caught, Commit(revision=revision, repository=repository).opened():
        pass
    assert "revision" in caught.value.hint


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository"), Commit(revision="HEAD", repository=tmp_path).opened():
        pass


def test_a_wheel_comes_before_what_is_installed(tmp_path: Path) -> None:
    older = tmp_path / "installed"
    older.mkdir()
    (older / "onemodule.py").write_text("VALUE = 1\n")
    with Package(requirement=str(wheel(tmp_path, "2.0", 2))).opened() as launcher:
        value, _, path = imported(launcher, "onemodule", tmp_path, {"PYTHONPATH": str(older)})
        assert value == 2
        assert str(older) in path, "the rest of the import path stays"
        assert launcher.version["packages"] == {"onemodule": "2.0"}
        told = launcher.version
    with Package(requirement=str(wheel(tmp_path, "2.0", 3))).opened() as launcher:
        assert launcher.version != told, "two wheels of the same name and version are not the same"


def test_a_wheel_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken-1.0-py3-none-any.whl").write_text("no wheel")
    opened = Package(requirement=str(tmp_path / "broken-1.0-py3-none-any.whl")).opened()
    with pytest.raises(InputError, match="pip cannot install"), opened:
        pass


def test_another_environment(tmp_path: Path) -> None:
    python = environment(tmp_path)
    with Interpreter(python=python).opened() as launcher:
        assert imported(launcher, "onemodule", tmp_path)[0] == 5
        assert launcher.version["packages"]["onemodule"] == "5.0"
        assert "numpy" in launcher.version["packages"]


def environment(folder: Path) -> Path:
    """A virtual environment with what is installed here, and a module of its own before that."""
    venv.create(folder / "env", with_pip=False)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "onemodule.py").write_text("VALUE = 5\n")
    (site / "onemodule-5.0.dist-info").mkdir()
    (site / "onemodule-5.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: onemodule\nVersion: 5.0\n")
    here = [part for part in sys.path if "site-packages" in part]
    (site / "here.pth").write_text("\n".join([*here, str(Path(bench.__file__).parents[1])]) + "\n")
    return folder / "env" / "bin" / "python"


def test_an_environment_without_bench(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    opened = Interpreter(python=tmp_path / "bare" / "bin" / "python").opened()
    with pytest.raises(InputError, match="has no bench"), opened:
        pass


def test_what_is_no_interpreter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be asked"), Interpreter(python=tmp_path / "nothing").opened():
        pass


def test_the_environment_of_bench_itself_is_no_other() -> None:
    with pytest.raises(InputError, match="both sides would be the same"):
        Interpreter(python=Path(sys.executable)).opened().__enter__()


def test_links_that_lead_out_are_left_out_and_told(repository: Path) -> None:
    (repository / "data").symlink_to("/etc/passwd")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "a link")
    with Commit(revision="HEAD", repository=repository).opened() as launcher:
        assert launcher.version["left_out"] == ["data"]


def test_a_package_of_the_instruments_name_is_refused(repository: Path) -> None:
    (repository / "src" / "bench").mkdir()
    (repository / "src" / "bench" / "__init__.py").write_text("")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "another bench")
    with pytest.raises(InputError, match="a package named bench"):
        Commit(revision="HEAD", repository=repository).opened().__enter__()


def test_the_working_tree_is_a_version_by_its_content(repository: Path) -> None:
    versions = []
    for value in (4, 5, 4):
        (repository / "src" / "mine" / "work.py").write_text(f"VALUE = {value}\n")
        with WorkingTree(repository=repository).opened() as launcher:
            versions.append(launcher.version["commit"])
    assert versions[0] == versions[2] != versions[1]


def test_what_killed_runs_left_is_removed_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f"bench-version-{dead.pid}-abc").mkdir()
    (tmp_path / "bench-version-somebody's").mkdir()
    with empty_folder() as mine, empty_folder() as other:
        assert mine.is_dir() and other.is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {"bench-version-somebody's", mine.name, other.name}
    assert not mine.exists()


# --- processes look at what they imported -----------------------------------------------------------------------------


def module(monkeypatch: pytest.MonkeyPatch, name: str, file: Path) -> None:
    made = types.ModuleType(name)
    made.__file__ = str(file)
    monkeypatch.setitem(sys.modules, name, made)


def wanted(monkeypatch: pytest.MonkeyPatch, expected: Expected) -> Expected:
    for name, value in expected.environment().items():
        monkeypatch.setenv(name, value)
    return expected


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a commit that has a package `mine`, and a module `helper`."""
    root = tmp_path / "version"
    (root / "src" / "mine").mkdir(parents=True)
    (root / "src" / "mine" / "__init__.py").write_text("")
    (root / "src" / "helper.py").write_text("")
    wanted(monkeypatch, Expected("commit abc", str(root), (str(root / "src"),)))
    return root


def test_what_was_asked_for(commit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(monkeypatch, "mine", commit / "src" / "mine" / "__init__.py")
    module(monkeypatch, "dependency", tmp_path / "checkout" / ".venv" / "lib" / "site-packages" / "dependency.py")
    assert check_version([]) == "commit abc"


def test_nothing_of_it_was_imported(commit: Path) -> None:
    with pytest.raises(OtherVersion, match="nothing of commit abc was imported"):
        check_version([])


@pytest.mark.parametrize("elsewhere", ["checkout/src/mine/hidden.py", "env/lib/site-packages/mine/hidden.py"])
def test_one_module_of_it_came_from_elsewhere(
    commit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    """From the working tree, or from a copy that is installed: one right import does not make up for it."""
    module(monkeypatch, "helper", commit / "src" / "helper.py")
    module(monkeypatch, "mine.hidden", tmp_path / elsewhere)
    with pytest.raises(OtherVersion, match=r"mine was imported from .*hidden\.py, and commit abc has it in"):
        check_version([])


def test_what_loads_an_artifact_rests_on_its_builder(
    commit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OtherVersion):
        check_version([tmp_path])
    with monkeypatch.context() as building:
        module(building, "mine", commit / "src" / "mine" / "__init__.py")
        mark_version(tmp_path)
    assert check_version([tmp_path]) == "commit abc"
    wanted(monkeypatch, Expected("commit def", str(commit), (str(commit / "src"),)))
    with pytest.raises(OtherVersion):
        check_version([tmp_path])


def test_a_builder_that_imports_nothing_marks_nothing(commit: Path, tmp_path: Path) -> None:
    mark_version(tmp_path)
    assert not list(tmp_path.glob("*.txt"))


def test_an_environments_own_package_must_not_be_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same working tree on the import path of both sides would hide what the environment has."""
    site = tmp_path / "lib" / "site-packages"
    (site / "mine").mkdir(parents=True)
    (site / "mine" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    wanted(monkeypatch, Expected("the environment of python"))
    module(monkeypatch, "own_code", tmp_path / "checkout" / "own_code.py")
    assert check_version([]) == "the environment of python"
    module(monkeypatch, "mine", tmp_path / "checkout" / "mine" / "__init__.py")
    with pytest.raises(OtherVersion, match="mine was imported from"):
        check_version([])


def test_modules_that_torch_makes_up_are_of_no_place(commit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(monkeypatch, "helper", commit / "src" / "helper.py")
    module(monkeypatch, "mine", Path("_ops.py"))
    assert check_version([]) == "commit abc"


def test_a_process_of_no_version_in_particular(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert check_version([]) is None
    monkeypatch.setenv(VARIABLE, "1.2")  # somebody's own, around us
    process = start_process(sys.executable, ["this"], SLOT, {})
    try:
        assert VARIABLE.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
    finally:
        process.end()
