"""What users install is whole: built, installed outside the repository, and used there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from harness import SHORT, SPECIMEN, lines, run_folders

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it: what is on the index."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel in it; its dependencies are borrowed from ours."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (wheel,) = built.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index",
         "--disable-pip-version-check", "--quiet", str(wheel)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    # A .pth file appends, so the wheel comes first; our own .pth files (the editable install) are not read from there.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def call(installed: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    program, *arguments = command
    return subprocess.run(
        [str(installed / program), *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def test_wheel_and_sdist_hold_configurations_weights_and_licence(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        sources = {name.split("/", 1)[-1] for name in archive.getnames()}
    options = {f"bench/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    for found in (names, sources):
        assert options <= found
        assert "workloads/glyphs/weights.safetensors" in found
        assert "bench/contract.py" in found
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert {"LICENSE", "README.md", "pyproject.toml"} <= sources
    assert not [name for name in names if name.startswith(("tests/", "results/", "scripts/")) or ".venv" in name]
    assert not [name for name in sources if name.startswith(("results/", ".venv/"))]


def test_it_is_the_wheel_that_runs(installed: Path, tmp_path: Path) -> None:
    code = "import bench, workloads; print(bench.__file__); print(workloads.__file__)"
    told = call(installed, "python", "-c", code, cwd=tmp_path).stdout.split()
    assert [Path(path).is_relative_to(installed.parent) for path in told] == [True, True]


def test_verbs_work_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    ours = json.loads(call(installed, "bench", "list", "--json", cwd=tmp_path).stdout)
    assert ours["optimizations"] == sorted(path.stem for path in (ROOT / "configs" / "optimizations").iterdir())
    doctor = call(installed, "bench", "doctor", "--json", cwd=tmp_path)
    assert doctor.returncode == 0, doctor.stderr
    assert json.loads(doctor.stdout)["fingerprint"]["commit"] is None
    result = call(installed, "bench", "run", *SPECIMEN, *SHORT, "partitions=[full,cpuset]", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(tmp_path / "results")
    assert len(lines(folder)) == 4


def test_the_shipped_model_runs_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    result = call(
        installed, "bench", "run", "workload=glyphs", "optimizations=[fp32,ort_fp32]", *SHORT,
        "protocol.blocks=1", "protocol.trial_limit_s=120", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(tmp_path / "results")
    for trial in lines(folder):
        assert trial["status"] in ("ok", "invalid"), trial["reason"]
        assert trial["proof"]["precision"] == "fp32"
        assert trial["quality"]["accuracy"] > 0.9
