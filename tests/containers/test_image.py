"""Images are built for real, from this machine's Python and wheels, and tenants run in them."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import docker
import pytest
from harness import SHORT, SPECIMEN, UNWATCHED, lines, run_folders, three_lines, until
from host_base import write_base
from packaging.tags import sys_tags

from bench.isolation.containers import engine as engines
from bench.isolation.images.find import NoImage, find_image

ROOT = Path(__file__).parents[2]
BASE = "bench-test-base:1"
LEFT_BYTES = 80 * 2**20
"""Enough for the wheels, and not for what is in them."""
MAIN = (
    "from bench.isolation.containers import engine; engine._usual = lambda: iter(()); "
    "from bench.cli import main; main()"
)
"""`bench`, with the service of podman that it starts for itself and no other."""
CODE = """
import os, pathlib, socket, sys
import numpy, pyarrow, scipy, bench.measure.tenant, workloads.calibration
assert bench.__file__.startswith("/opt/bench/"), bench.__file__
assert sys.flags.safe_path and sys.prefix == "/opt/bench" and os.getuid() == 65534, (sys.flags, sys.prefix)
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        return True
assert refused(pathlib.Path("/opt/bench/x").touch) and refused(pathlib.Path("/x").touch)
assert refused(socket.create_connection, ("192.0.2.1", 80), 1)
compiled = pathlib.Path(bench.__file__).parent / "__pycache__"
print(*(int(found) for found in (
    compiled.is_dir(), pathlib.Path("/wheels").exists(), pathlib.Path("/opt/bench/bin/pip").exists(),
    pathlib.Path("/root/.cache/pip").exists(), pathlib.Path("/opt/pip").exists())))
"""


class Image:
    """`bench image`, from a wheel, so that what others do to the sources changes nothing."""

    def __init__(self, python: Path, state: Path, folder: Path) -> None:
        self._python, self._folder, self._state = python, folder, state

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        env = {**os.environ, "BENCH_STATE_DIR": str(self._state), "TMPDIR": str(self._folder), **environment}
        for name in ("CONTAINER_HOST", "DOCKER_HOST", "PYTHONPATH"):
            env.pop(name, None)
        return subprocess.Popen(
            [self._python, "-P", "-c", MAIN, *arguments], cwd=self._folder, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def raw(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def __call__(self, *arguments: str) -> Any:
        result = self.raw("image", *arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BENCH_STATE_DIR", str(self._state))
            patch.setenv("TMPDIR", str(self._folder))
            for name in ("CONTAINER_HOST", "DOCKER_HOST"):
                patch.delenv(name, raising=False)
            patch.setattr(engines, "_usual", lambda: iter(()))
            with engines.opened("podman", None) as engine:
                client = docker.DockerClient(f"unix://{engine.socket}", timeout=60)
                yield client
                client.close()

    def import_base(self, tar: Path) -> None:
        with tar.open("rb") as file, self.client() as client:
            api = client.api
            told = api._result(api._post(api._url("/images/create"), data=file, params={"fromSrc": "-"}), json=True)
            api.tag(told["status"], *BASE.split(":"))
        for copy in self._folder.glob("api_load.tar*"):  # podman 4 forgets it
            copy.unlink()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has bench from a wheel, and borrows everything else from ours."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    found = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--quiet"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run(wheel, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    install = [*pip, "--python", found, "install", "--no-deps", "--no-index", made]
    subprocess.run(install, check=True, capture_output=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return found


@pytest.fixture(scope="module", autouse=True)
def stand_ins(own_surroundings: Path) -> None:
    """Wheels that are kept already, without what is in them: two thirds of an image, which no tenant imports. Their tag
    is better than that of the real ones."""
    folder = own_surroundings / "wheels"
    folder.mkdir(exist_ok=True)
    for name in ("pyarrow", "scipy"):
        stem = f"{name}-{metadata.version(name)}"
        tag = next(tag for tag in sys_tags() if "manylinux" in tag.platform)
        told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {metadata.version(name)}\n"
        files = {
            f"{name}/__init__.py": "",
            f"{stem}.dist-info/METADATA": told,
            f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
        }
        files[f"{stem}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in files)
        with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
            for path, content in files.items():
                wheel.writestr(path, content)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base.tar"
    with path.open("wb") as file:
        write_base(file)
    return path


@pytest.fixture(scope="module")
def image(python: Path, base: Path, own_surroundings: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    found = Image(python, Path(os.environ["BENCH_STATE_DIR"]), tmp_path_factory.mktemp("cwd"))
    found.import_base(base)
    return found


def left_behind(image: Image) -> tuple[list[Any], list[str], list[str]]:
    """Images without a name and containers; mounts; cgroups and folders of steps of builds."""
    with image.client() as client:
        found = client.images.list(filters={"dangling": True}) + client.containers.list(all=True)
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(image._state) in line]
    steps = [str(path) for path in (*Path("/sys/fs/cgroup").glob("*/buildah-*"), *image._folder.glob("buildah*"))]
    return found, [line for line in mounts if "/merged" in line], steps


def test_what_is_interrupted_is_undone(image: Image) -> None:
    """Before anything is built: later, what it wants is there already."""
    *_, before = left_behind(image)
    process = image.start("image", "build", "--base", BASE)
    assert process.stderr is not None
    heard = ""
    while "Installing collected packages" not in heard:
        heard = process.stderr.readline()
        assert heard or process.poll() is None
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == ""
    assert "interrupted" in three_lines("\n".join(err.splitlines()[-3:]))[0]
    found, mounts, steps = left_behind(image)
    assert (found, mounts) == ([], []) and set(steps) <= set(before)


@pytest.fixture(scope="module")
def built(image: Image) -> Mapping[str, Any]:
    """Both variants, without extras."""
    return {variant: image("build", "--variant", variant, "--base", BASE) for variant in ("slim", "full")}


def test_each_variant_is_built_once(image: Image, built: Mapping[str, Any]) -> None:
    slim, full = built["slim"], built["full"]
    assert slim["anew"] and full["anew"]
    assert full["size_bytes"] > 1.1 * slim["size_bytes"] and full["layers"] > slim["layers"]
    with image.client() as client:  # without a name, and with all labels of what it is made of
        client.images.build(fileobj=io.BytesIO(f"FROM {slim['id']}\nENV A=1\n".encode()))
    again = image.raw("image", "build", "--base", BASE)
    assert (again.returncode, again.stdout) == (0, f"{slim['tag']}\n"), again.stderr
    assert "is there already" in again.stderr and "STEP" not in again.stderr
    assert [each["tag"] for each in image("list") if each["fits"]] == [full["tag"], slim["tag"]]
    assert image("remove") == []
    with image.client() as client:
        (theirs,) = client.images.list(filters={"dangling": True})
        client.images.remove(theirs.id)
        assert not client.images.list(filters={"dangling": True})
        assert not client.containers.list(all=True)
        # Tests run from the sources, which may have changed since: then no image fits them, and that is told.
        found = find_image(client.api, "slim")
        assert isinstance(found, NoImage) == (found != slim["id"])
        assert isinstance(find_image(client.api, BASE), str)
        missing = find_image(client.api, "bench:slim-000000000000")
        assert isinstance(missing, NoImage) and "no image bench:slim-000000000000" in missing.reason


@pytest.mark.parametrize("variant", ["slim", "full"])
def test_tenants_modules_run_in_it(variant: str, image: Image, built: Mapping[str, Any]) -> None:
    with image.client() as client:
        container = client.containers.create(
            built[variant]["id"], ["-c", CODE], network_mode="none", read_only=True, cap_drop=["ALL"],
            security_opt=["no-new-privileges"], log_config={"type": "json-file"},
        )  # fmt: skip
        try:
            container.start()
            status, told = container.wait(timeout=60)["StatusCode"], container.logs().decode()
        finally:
            container.remove(force=True)
        assert status == 0, told
        compiled, wheels, pip, cache, tools = (word == "1" for word in told.split())
        assert compiled, "who cannot write where code lies would compile it at each start"
        assert (wheels, pip) == ((variant == "full",) * 2)
        assert not cache and not tools
        config = client.images.get(built[variant]["id"]).attrs["Config"]
        assert config["User"] == "65534:65534" and config["Entrypoint"] == ["python", "-P"]


def test_a_run_takes_place_in_it(image: Image, built: Mapping[str, Any], tmp_path: Path) -> None:
    result = image.raw(
        "run", *SPECIMEN, *SHORT, *UNWATCHED, "isolation=container", "isolation.container.image=slim",
        f"results_dir={tmp_path / 'results'}", "protocol.blocks=1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(tmp_path / "results")
    (trial,) = lines(folder)
    assert trial["status"] in ("ok", "invalid"), trial["reason"]
    assert built["slim"]["id"] in (folder / "trials.jsonl").read_text()


def test_two_images_are_measured_in_the_same_blocks(image: Image, built: Mapping[str, Any], tmp_path: Path) -> None:
    result = image.raw(
        "run", "--json", "--against", f"image:{built['full']['tag']}", *SPECIMEN, *SHORT, *UNWATCHED,
        "isolation=container", "isolation.container.image=slim", f"results_dir={tmp_path / 'results'}",
    )  # fmt: skip
    assert result.returncode == 4, result.stderr  # smoke draws no verdicts
    (told,) = json.loads(result.stdout)
    (outcome,) = told["comparison"]
    assert (outcome["base"], outcome["outcome"]) == ("against_image", "not_enough_evidence")
    (folder,) = run_folders(tmp_path / "results")
    ran = {(trial["isolation"], trial["confinement"]["image"]["id"]) for trial in lines(folder)}
    assert ran == {("container", built["slim"]["id"]), ("against_image", built["full"]["id"])}


def test_a_base_that_is_not_there_is_told(image: Image) -> None:
    result = image.raw("image", "build", "--base", "localhost:1/no-such-base:1")
    assert result.returncode == 3 and result.stdout == ""
    told = result.stderr.partition("\n")[2]  # after the line that it is being fetched
    assert "there is no image localhost:1/no-such-base:1, and the engine cannot fetch it" in three_lines(told)[0]


def test_what_was_killed_is_removed_by_the_next_build_which_finds_no_space(
    python: Path, base: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    state = tmp_path / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=420m", "tmpfs", state], check=True)
    try:
        image = Image(python, state, tmp_path)
        image.import_base(base)
        with (state / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(state).free - LEFT_BYTES)
        process = image.start("image", "build", "--base", BASE)
        assert process.stderr is not None
        while "COPY wheels" not in process.stderr.readline():
            assert process.poll() is None
        process.kill()
        process.communicate()
        result = image.raw("image", "build", "--base", BASE)
        assert result.returncode == 3 and result.stdout == ""
        what, _, hint = three_lines("\n".join(result.stderr.splitlines()[-3:]))
        assert "no space left on device" in what.lower() and "free space" in hint
        until(
            lambda: left_behind(image)[:2] == ([], []), "an empty engine"
        )  # a step that was running goes on to its end
        assert not list(Path("/sys/fs/cgroup").glob(f"*/bench-*.{process.pid}.*"))
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)
