"""Helpers: bench as its users call it, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

BENCH = [sys.executable, "-m", "bench"]
SPECIMEN = ("workload=calibration", "optimizations=[native]")
SHORT = (
    "protocol=smoke",
    "protocol.blocks=2",
    "protocol.warmup_min_s=0",
    "protocol.warmup_limit_s=0.25",
    "protocol.window_s=0.1",
    "protocol.min_requests=1",
    "protocol.trial_limit_s=30",
)
"""Trials of about half a second. Whether they are valid is up to the machine: tests must not ask for it."""


UNWATCHED = ("telemetry=[]", "partitions=[time_shared]", "partitions.time_shared.tenants=1")
"""One tenant, with cores that count as shared and nobody watching them: trials stay valid beside other work."""


def run_bench(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, limit_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """`bench <arguments>`, waited for."""
    return subprocess.run(
        [*BENCH, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )


def start_bench(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`bench <arguments>`, left running. In a session of its own, as under a terminal."""
    return subprocess.Popen(
        [*BENCH, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def measured(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Path:
    """A short run of the specimen that must succeed: its folder."""
    result = run_bench("run", *SPECIMEN, *SHORT, *arguments, cwd=cwd, env=env)
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(cwd / "results")
    return folder


def run_folders(results: Path) -> list[Path]:
    return sorted(path for path in results.iterdir() if path.is_dir()) if results.exists() else []


def lines(folder: Path) -> list[dict[str, Any]]:
    """The trials of a run, as any script would read them."""
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def planned_ids(folder: Path) -> list[str]:
    return [trial["id"] for trial in json.loads((folder / "plan.json").read_text())["trials"]]


def read_table(path: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet as pq

    table: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return table


def children(process: subprocess.Popen[str], *words: str) -> list[psutil.Process]:
    """Its living children whose command line contains one of `words` (all, without words)."""
    found = []
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            command = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and (not words or any(word in command for word in words)):
                found.append(child)
    except psutil.NoSuchProcess:
        return []
    return found


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie does not."""
    left = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except psutil.NoSuchProcess:
            continue
    return left


def until(condition: Callable[[], Any], what: str, limit_s: float = 30.0) -> Any:
    """Wait for `condition` to become true; its value."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {limit_s:g} s")


def finish(process: subprocess.Popen[str], limit_s: float = 60) -> tuple[int, str, str]:
    """Wait for a started bench; its exit code, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        raise
    return process.returncode, out, err


def three_lines(stderr: str) -> tuple[str, str, str]:
    """What, where and hint of an error: exactly three lines, and nothing else."""
    told = stderr.rstrip("\n").split("\n")
    assert len(told) == 3, stderr
    what, where, hint = told
    assert what.startswith("bench: ") and len(what) > len("bench: "), stderr
    assert where.startswith("  in ") and len(where) > len("  in "), stderr
    assert hint.startswith("  hint: ") and len(hint) > len("  hint: "), stderr
    return what, where, hint
