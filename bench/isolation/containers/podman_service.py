"""A podman service of our own, where podman is installed and nobody serves its API: a child that dies with us.

Its configuration is written for this machine, and its storage is its own, so that neither the user's containers nor
how the machine's podman is set up matters. Its first moment is
`python -m bench.isolation.containers.podman_service COMMAND...`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.devices.state_folder import state_folder
from bench.isolation import confine
from bench.isolation.containers.owner import Owner, boot_id

START_LIMIT_S = 20.0
STOP_LIMIT_S = 5.0
PAUSE_S = 0.01
SYSTEMD = Path("/run/systemd/system")
UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")
"""Is there where cgroup v2 is all there is."""
PID_MAX = Path("/proc/sys/kernel/pid_max")
DELEGATED = "/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
SUBORDINATE_IDS = Path("/etc/subuid")
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]
log_driver = "none"
[engine]
cgroup_manager = "{cgroup_manager}"
events_logger = "file"
lock_type = "file"
runtime = "{runtime}"
"""


class NotStarted(Exception):
    """The service does not start; the message says why."""


def infeasible() -> str | None:
    """Why a service of our own cannot run here; None if it can. Nothing is started to find out."""
    if shutil.which("podman") is None:
        return "neither podman nor docker is installed"
    if _runtime() is None:
        return "podman needs runc where cgroups are v1 or hybrid, or runc or crun where they are v2: none is installed"
    if os.geteuid() == 0:
        return None
    if not UNIFIED.exists():
        return "podman without root cannot limit tenants unless cgroups are v2, and they are not here"
    if not SYSTEMD.exists():
        return "podman without root needs systemd to limit tenants, and it is not running here"
    if missing := _not_delegated():
        return (
            f"podman without root cannot limit tenants: systemd does not delegate {', '.join(missing)} to this user "
            "(`Delegate=cpu cpuset io memory pids` in [Service] of /etc/systemd/system/user@.service.d/delegate.conf, "
            "and a new login)"
        )
    if not _has_subordinate_ids():
        return f"podman without root needs ids for this user in {SUBORDINATE_IDS} (usermod --add-subuids), and none are"
    return None


def _runtime() -> str | None:
    """crun, podman's own choice on cgroup v2, refuses hybrid hierarchies; and before 1.26 it runs NVIDIA's hooks in a
    root that is read-only already, where they are to write."""
    wanted = ("runc", "crun") if UNIFIED.exists() else ("runc",)
    return next(filter(shutil.which, wanted), None)


def _not_delegated() -> list[str]:
    """Controllers that tenants are limited by, and that are not this user's."""
    try:
        told = Path(DELEGATED.format(uid=os.getuid())).read_text().split()
    except OSError:  # nobody has logged in by systemd
        told = []
    return [name for name in CONTROLLERS if name not in told]


def _has_subordinate_ids() -> bool:
    names = {str(os.getuid())}
    with suppress(KeyError):
        import pwd

        names.add(pwd.getpwuid(os.getuid()).pw_name)
    try:
        return any(line.split(":")[0] in names for line in SUBORDINATE_IDS.read_text().splitlines())
    except OSError:
        return False


class PodmanService:
    """Runs between `start` and `stop`; when it was killed, it can be started again."""

    def __init__(self, owner: Owner) -> None:
        self._storage = state_folder("containers").expanduser().absolute()
        # Sockets have short names, and what podman keeps for a boot must not lie in the user's state.
        self.folder = _runtime_folder() / hashlib.sha256(str(self._storage).encode()).hexdigest()[:8]
        self.socket = self.folder / f"{owner.pid}.sock"
        self.cgroup_parent = None if SYSTEMD.exists() else f"/bench-{owner}"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Returns when it listens. Raises NotStarted."""
        try:
            self._prepare()
            self._child = self._spawn()
        except OSError as error:
            raise NotStarted(f"podman's service cannot be started: {error}") from error
        limit = int(START_LIMIT_S / PAUSE_S)
        for _ in range(limit):
            if self.socket.exists():
                return
            if self._child.poll() is not None:
                break
            time.sleep(PAUSE_S)
        words = self._last_words()
        self.stop()
        raise NotStarted(f"podman's service does not start: {words}")

    def stop(self) -> None:
        if self._child:
            self._child.terminate()
            try:
                self._child.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self.socket.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)

    def _prepare(self) -> None:
        self._storage.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (*self.folder.glob("*.sock"), *self.folder.glob("*.log")):
            if path.stem == self.socket.stem or not Path("/proc", path.stem).exists():
                path.unlink(missing_ok=True)
        if not list(self.folder.glob("*.sock")):  # podman forgets what it unpacks there, and nobody else is at it
            shutil.rmtree(self._unpacking, ignore_errors=True)
        self._unpacking.mkdir(parents=True, exist_ok=True)
        with (self.folder / "boot").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if file.read() != boot_id():  # where /run outlives a boot, podman would believe that containers run
                for name in ("run", "tmp"):
                    shutil.rmtree(self.folder / name, ignore_errors=True)
                file.seek(0)
                file.truncate()
                file.write(boot_id())
        text = CONFIGURATION.format(
            nofile=_limit(resource.RLIMIT_NOFILE, 1 << 20),
            nproc=_limit(resource.RLIMIT_NPROC, int(PID_MAX.read_text())),
            cgroup_manager="systemd" if SYSTEMD.exists() else "cgroupfs",
            runtime=_runtime(),
        )
        self._configuration.write_text(text)

    @property
    def _configuration(self) -> Path:
        return self.folder / "containers.conf"

    @property
    def _unpacking(self) -> Path:
        """Large enough for images, which /run is not."""
        return self._storage.with_name(f"{self._storage.name}-unpacking")

    @property
    def _log(self) -> Path:
        return self.socket.with_suffix(".log")

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [
            *("podman", "--root", self._storage, "--runroot", self.folder / "run", "--tmpdir", self.folder / "tmp"),
            *("--network-config-dir", self.folder / "networks"),
            *(("--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true") if _is_root() else ()),
            *("system", "service", "--time", "0", f"unix://{self.socket}"),
        ]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.isolation.containers.podman_service", *map(str, command)],
                env={
                    **os.environ,
                    "CONTAINERS_CONF": str(self._configuration),
                    "TMPDIR": str(self._unpacking),
                    confine.CONDUCTOR_PID: str(os.getpid()),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "it says nothing"
        return lines[-1] if lines else "it says nothing"


_users: list[PodmanService] = []
"""The same one, as often as it is used."""


@contextmanager
def used() -> Iterator[PodmanService]:
    """The service of this process: whoever uses it first starts it, and the last one stops it. A run that compares
    isolations opens several. Raises NotStarted."""
    service = _users[0] if _users else PodmanService(Owner.this())
    if not _users:
        service.start()
    _users.append(service)
    try:
        yield service
    finally:
        _users.pop()
        if not _users:
            service.stop()


def _limit(which: int, most: int) -> int:
    """Podman's own defaults are more than a process without CAP_SYS_RESOURCE may have; and podman lowers its own limits
    to `most`, which its containers cannot exceed then."""
    _, hard = resource.getrlimit(which)
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


def _is_root() -> bool:
    return os.geteuid() == 0


def _runtime_folder() -> Path:
    if _is_root():
        return Path("/run/bench")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/bench-{os.getuid()}") / "bench"


def main(command: list[str]) -> None:
    """Die with the conductor, then become the service."""
    confine.confine_from_environment()
    del os.environ[confine.CONDUCTOR_PID]
    # conmon writes a file of the name "oom" into the folder that it is started in.
    os.chdir(Path(os.environ["CONTAINERS_CONF"]).parent)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
