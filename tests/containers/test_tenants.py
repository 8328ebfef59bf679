"""What a tenant in a container can do and see: its own, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from inside import WAITS, asked, launcher, left, said, tenant

from bench.contract import Slot, StartFailed
from bench.isolation.container import Containers

STATUS = "dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())"
REFUSED = """
def refused(action):
    try:
        action()
    except OSError as error:
        return error.__class__.__name__ + " " + str(error.errno)
    return None
"""


def attempt(launched: object, action: str, folders: tuple[Path, ...] = ()) -> str | None:
    """How an action fails inside a container; None if it does not."""
    with tenant(launched, f"{REFUSED}\nsay(value=refused(lambda: {action}))", folders=folders) as link:  # type: ignore[arg-type]
        return said(link)[0]["value"]  # type: ignore[no-any-return]


def test_it_runs_this_bench_as_nobody_without_privileges(options: dict[str, object]) -> None:
    with launcher(options) as opened:
        assert asked(opened, "sys.executable") == sys.executable
        assert asked(opened, "__import__('bench').__file__") == __import__("bench").__file__
        status = asked(opened, STATUS)
    user = os.getuid() or 65534
    assert status["Uid"].split() == [str(user)] * 4
    assert {status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert left() == []


def test_nothing_can_be_written_but_its_own_tmp(options: dict[str, object], tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir(mode=0o777)
    given.chmod(0o777)
    (given / "text").write_text("of the host")
    with launcher(options) as opened:
        assert asked(opened, f"open({str(given / 'text')!r}).read()", folders=(given,)) == "of the host"
        for folder in ("/", "/usr", "/etc", "/run", "/dev", sys.prefix, str(given)):
            assert attempt(opened, f"open({folder + '/written'!r}, 'w')", (given,)) is not None, folder
        written = "[open('/tmp/written', 'w').write('x'), os.path.expanduser('~')]"
        assert asked(opened, written) == [1, "/tmp"]
    assert list(given.iterdir()) == [given / "text"]


def test_what_is_mounted_below_a_folder_is_read_only_too(options: dict[str, object], tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root mounts")
    given = tmp_path / "given"
    mounted = given / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0777", "tmpfs", mounted], check=True)
    try:
        (mounted / "text").write_text("of the host")
        with launcher(options) as opened:
            assert asked(opened, f"open({str(mounted / 'text')!r}).read()", folders=(given,)) == "of the host"
            assert attempt(opened, f"open({str(mounted / 'written')!r}, 'w')", (given,)) == "OSError 30"
        assert [path.name for path in mounted.iterdir()] == ["text"]
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_folder_that_holds_the_home_folder_is_refused(options: dict[str, object]) -> None:
    with launcher(options) as opened:
        for path in (Path("/"), Path.home()):
            with pytest.raises(StartFailed, match=f"^{path} would show tenants the whole home folder"):
                opened.start(["inside", WAITS], Slot(0, 1), {}, [path])


def test_what_was_not_given_is_not_there(options: dict[str, object], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    with launcher(options) as opened:
        for path in (secret, Path("/etc/shadow"), Path("/home"), Path("/root/.ssh")):
            assert attempt(opened, f"os.stat({str(path)!r})") == "FileNotFoundError 2", path


def test_the_environment_is_what_was_said(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "of the host")
    slot = Slot(index=0, threads=2, env={"OF_SLOT": "1"})
    with launcher(options, environment={"CUDA_MODULE_LOADING": "LAZY"}) as opened:
        found = asked(opened, "dict(os.environ)", slot)
    assert "SECRET_TOKEN" not in found
    assert (found["OF_SLOT"], found["OMP_NUM_THREADS"], found["CUDA_MODULE_LOADING"]) == ("1", "2", "LAZY")


def test_there_is_no_network(options: dict[str, object]) -> None:
    connect = "__import__('socket').create_connection(({!r}, {}), 2)"
    with launcher(options) as opened:
        assert attempt(opened, connect.format("192.0.2.1", 80)) == "OSError 101"  # no route
        assert asked(opened, "[name for _, name in __import__('socket').if_nameindex()]") == ["lo"]


def test_tenants_do_not_see_each_other(options: dict[str, object]) -> None:
    first_says = "open('/tmp/mine', 'w').write('x'); say(); sys.stdin.readline()"
    with launcher(options) as opened, tenant(opened, first_says) as first:
        said(first)
        others = (
            "[os.path.exists('/tmp/mine'), [p for p in os.listdir('/proc') if p.isdigit()], os.listdir('/dev/shm')]"
        )
        assert asked(opened, others, Slot(1, 1)) == [False, ["1"], []]


def test_limits_are_those_that_are_told(options: dict[str, object]) -> None:
    cpu = sorted(os.sched_getaffinity(0))[-1]
    slot = Slot(index=0, threads=1, cpus=(cpu,))
    limits = {"memory_limit_bytes": 256 * 2**20, "pids_limit": 32, "cpu_limit": 0.5, "tmp_size_bytes": 2**20}
    forks = """
import threading
threads = []
try:
    for _ in range(64):
        threads.append(threading.Thread(target=sys.stdin.readline))
        threads[-1].start()
except RuntimeError:
    pass
say(value=len(threads))
"""
    with launcher(options, **limits) as opened:
        told = opened.confinement(slot)
        assert asked(opened, "sorted(os.sched_getaffinity(0))", slot) == [cpu]
        assert attempt(opened, "open('/tmp/large', 'wb').write(bytes(2**22))") == "OSError 28"
        with tenant(opened, forks) as link:
            assert said(link)[0]["value"] <= 32
    assert {name: told[name] for name in limits} == limits
    assert told["cpus"] == [cpu] and told["network"] == "none"
    assert told["engine"].startswith(f"{options['engine']} ") and told["runtime"].startswith("runc 1.")
    assert told["image"]["size_bytes"] > 0
    assert told["selinux"] == ("label=disable" if Path("/sys/fs/selinux/enforce").exists() else None)


def test_its_pid_is_the_one_of_this_machine(options: dict[str, object]) -> None:
    with launcher(options) as opened, tenant(opened, WAITS) as link:
        said(link)
        assert b"inside" in Path(f"/proc/{link.process.pid}/cmdline").read_bytes()


def test_long_lines_arrive_whole(options: dict[str, object]) -> None:
    """Samples are megabytes in one line, and stderr may speak in between."""
    with launcher(options) as opened:
        code = "sys.stderr.write('y' * 2**16); say(value='x' * 2**24); sys.stderr.write('y' * 2**16); sys.stdin.read()"
        with tenant(opened, code) as link:
            assert said(link)[0]["value"] == "x" * 2**24


def test_an_image_that_is_not_there(options: dict[str, object]) -> None:
    from bench.errors import InfeasibleHere

    with pytest.raises(InfeasibleHere, match="no image no-such-image"), launcher(options, image="no-such-image"):
        pass
    assert left() == []


def test_options_are_checked() -> None:
    for wrong in ({"engine": "lxc"}, {"pids_limit": 1}, {"cpu_limit": 0}, {"memory_limit_bytes": 1}, {"privileged": 1}):
        with pytest.raises(ValueError):
            Containers(**wrong)  # type: ignore[arg-type]


def test_a_folder_that_is_closed_to_tenants_is_named(options: dict[str, object], tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("tenants have the user's own rights")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with launcher(options) as opened, pytest.raises(StartFailed, match=f"may not read {closed}: `chmod"):
        opened.start(["inside", WAITS], Slot(0, 1), {}, [closed])
