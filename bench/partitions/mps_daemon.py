"""A private MPS control daemon, for as long as a context lasts, and not a moment longer, even if bench is killed.

Between bench and the daemon stands a keeper (bench/partitions/mps_keeper.py): it sees its standard input close when
bench ends, however it ends, and stops the daemon.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.errors import InfeasibleHere

START_LIMIT_S = 20.0
STOP_LIMIT_S = 30.0


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment by which clients find the daemon. Its folders are private to this run. Raises InfeasibleHere."""
    with tempfile.TemporaryDirectory(prefix="bench-mps-", ignore_cleanup_errors=True) as folder:
        folders = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for path in folders.values():
            Path(path).mkdir()
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.partitions.mps_keeper", *command],
            env={**os.environ, **environment, **folders},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _await_start(keeper, Path(folders["CUDA_MPS_LOG_DIRECTORY"]))
            yield folders
        finally:
            assert keeper.stdin and keeper.stdout
            keeper.stdin.close()
            try:
                keeper.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                keeper.kill()
                keeper.wait()
            keeper.stdout.close()
            if keeper.returncode:
                _end_without_keeper(Path(folders["CUDA_MPS_PIPE_DIRECTORY"]))


def _end_without_keeper(pipe: Path) -> None:
    """The keeper was killed. Its daemon leads a session of its own, with its servers, and knows our private folder."""
    try:
        daemon = psutil.Process(int((pipe / "nvidia-cuda-mps-control.pid").read_text()))
        if daemon.environ().get("CUDA_MPS_PIPE_DIRECTORY") == str(pipe):
            os.killpg(daemon.pid, signal.SIGKILL)
    except (OSError, ValueError, psutil.Error):
        return  # it has gone already


def _await_start(keeper: subprocess.Popen[bytes], logs: Path) -> None:
    assert keeper.stdout
    ready, _, _ = select.select([keeper.stdout], [], [], START_LIMIT_S)
    if ready and keeper.stdout.readline().strip() == b"running":
        return
    told = [line for path in sorted(logs.glob("*.log")) for line in path.read_text(errors="replace").splitlines()]
    raise InfeasibleHere(
        f"the MPS daemon does not start: {told[-1] if told else 'it says nothing'}",
        where="partitions.mps",
        hint="an MPS daemon of another user, or compute mode PROHIBITED, stands in the way; see `bench doctor`",
    )
