"""Keeps an MPS control daemon for as long as its standard input is open.

`python -m bench.partitions.mps_keeper COMMAND...` starts the command with -f (in the foreground, so as its own child),
says "running" once the daemon's control pipe is there, and when standard input closes asks the daemon to quit; after a
while it ends the daemon and its servers by force. The private folder goes last.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

QUIT_LIMIT_S = 10.0
START_LIMIT_S = 15.0
PAUSE_S = 0.02


def main(command: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the end below
    daemon = subprocess.Popen([*command, "-f"], stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    started = False
    try:
        if started := _started(daemon):
            sys.stdout.write("running\n")
            sys.stdout.flush()
            sys.stdin.read()
            _quit(command, daemon)
    finally:
        _end(daemon)
        if started:  # otherwise its log says why not; and bench itself may be gone
            shutil.rmtree(Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"]).parent, ignore_errors=True)
    return 0


def _started(daemon: subprocess.Popen[bytes]) -> bool:
    control = Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"]) / "control"
    for _ in range(int(START_LIMIT_S / PAUSE_S)):
        if daemon.poll() is not None:
            return False
        if control.exists():
            return True
        time.sleep(PAUSE_S)
    return False


def _quit(command: list[str], daemon: subprocess.Popen[bytes]) -> None:
    """Politely: it waits for clients, so there is a limit."""
    try:
        subprocess.run(command, input=b"quit\n", stdout=sys.stderr, timeout=QUIT_LIMIT_S, check=False)
        daemon.wait(QUIT_LIMIT_S)
    except subprocess.TimeoutExpired:
        return


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """Its session holds its servers."""
    with suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
