"""Whatever dies, the trial that loses it is told why in words, and the next one works."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from inside import WAITS, asked, failure, launcher, left, said, tenant

from bench.contract import Slot, StartFailed
from bench.isolation.container import ContainerLauncher
from bench.isolation.containers.engine import Engine


def test_a_killed_tenant(options: dict[str, object]) -> None:
    with launcher(options) as opened, tenant(opened, WAITS) as first, tenant(opened, WAITS, Slot(1, 1)) as second:
        said(first, second)
        os.kill(first.process.pid, signal.SIGKILL)
        assert failure(first).startswith("tenant0 was killed by signal 9")
        second.send(go=1)
        assert said(second)[0]["last"]  # the other is as it was
    assert left() == []


def test_a_tenant_that_is_out_of_memory(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hungry = "say(); sys.stdin.readline(); x = [b'x' * 2**20 for _ in range(4096)]; say()"
    with launcher(options, memory_limit_bytes=128 * 2**20) as opened:
        with tenant(opened, hungry) as first, tenant(opened, WAITS, Slot(1, 1)) as second:
            said(first, second)
            first.send(go=1)
            assert failure(first).startswith("tenant0 was killed for want of memory (limit 128 MiB)")
            second.send(go=1)
            assert said(second)[0]["last"]
        assert asked(opened, "1 + 1") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["modules"]  # nobody has noted it where bench was called


def test_a_tenant_that_exits(options: dict[str, object]) -> None:
    exits = "say(); sys.stdin.readline(); sys.stderr.write('gone\\n'); sys.exit(3)"
    with launcher(options) as opened, tenant(opened, exits) as link:
        said(link)
        link.send(go=1)
        assert failure(link) == "tenant0 exited with status 3; last words: gone"


def test_a_killed_monitor(options: dict[str, object]) -> None:
    with launcher(options) as opened:
        with tenant(opened, WAITS) as link:
            said(link)
            monitor = psutil.Process(link.process.pid).parent()
            assert monitor is not None and monitor.name().startswith(("conmon", "containerd-shim"))
            monitor.kill()
            assert failure(link).startswith("tenant0 lost the process that watches its container")
        assert asked(opened, "1 + 1") == 2
        assert isinstance(opened, ContainerLauncher)
        assert opened.engine.labelled("bench=tenant") == []
    assert left() == []


def test_a_killed_service_of_our_own() -> None:
    with launcher({"engine": "podman"}) as opened:
        assert isinstance(opened, ContainerLauncher)
        with tenant(opened, WAITS) as link:
            said(link)
            (service,) = [child for child in psutil.Process().children() if "service" in child.cmdline()]
            service.kill()
            assert failure(link).startswith("tenant0 lost its streams: podman ended")
            pid = link.process.pid
        assert not Path(f"/proc/{pid}").exists()
        assert asked(opened, "1 + 1") == 2
        assert opened.engine.labelled("bench=tenant") == []
    assert left() == []


def test_a_program_that_is_not_there(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    with launcher(options) as opened:
        with monkeypatch.context() as patch:
            patch.setattr("sys.executable", "/usr/bin/no-such-python")
            with pytest.raises(StartFailed, match="no-such-python"):
                opened.start(["inside", WAITS], Slot(0, 1), {})
        assert isinstance(opened, ContainerLauncher)
        assert opened.engine.labelled("bench=tenant") == []
        assert asked(opened, "1 + 1") == 2


def test_a_tenant_that_ends_before_it_is_seen(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    start = Engine.start

    def slow_start(engine: Engine, container: str) -> None:
        start(engine, container)
        assert engine.exit_status(container, 20) == 1

    with launcher(options) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "start", slow_start)
            with pytest.raises(StartFailed, match=r"ended at once with status 1; last words: .*No module named"):
                opened.start(["no_such_module"], Slot(0, 1), {})
        assert asked(opened, "1 + 1") == 2
    assert left() == []
