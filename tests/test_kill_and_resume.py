"""A conductor may be killed at any moment: nothing finished is lost, nothing half-written is taken for finished."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import (
    SHORT,
    SPECIMEN,
    alive,
    children,
    finish,
    lines,
    planned_ids,
    read_table,
    run_bench,
    run_folders,
    start_bench,
    until,
)

RUNS = 20
SIDE_BY_SIDE = 2
BLOCKS = 3
TAKES_S = 4.0
"""About what a run takes: kills are spread over it."""


def killed_after(seconds: float, *arguments: str, cwd: Path) -> None:
    """Start, wait, SIGKILL the conductor alone; its children must follow it."""
    process = start_bench(*arguments, cwd=cwd)
    time.sleep(seconds)
    left = children(process)
    process.send_signal(signal.SIGKILL)
    finish(process)
    until(lambda: not alive(left), "the end of the killed conductor's processes", 10)


def ordeal(number: int, cwd: Path) -> str:
    """One run, killed one to three times at random moments and then finished. What became of it."""
    cwd.mkdir()
    rng = random.Random(number)
    early = 0.2 + TAKES_S * number / RUNS  # from before the first file to after the last
    options = (*SPECIMEN, *SHORT, f"protocol.blocks={BLOCKS}", "partitions=[full,time_shared]", f"seed={number}")
    options = (*options, "protocol.window_s=0.05", "protocol.warmup_limit_s=0.05")
    killed_after(early, "run", *options, cwd=cwd)
    folders = run_folders(cwd / "results")
    if not folders or not (folders[0] / "plan.json").exists():
        if folders:
            result = run_bench("run", "--resume", str(folders[0]), cwd=cwd)
            assert result.returncode == 2, result.stderr
            assert not (folders[0] / "trials.jsonl").exists()
        return "killed before it had begun"
    (folder,) = folders
    for _ in range(rng.randrange(3)):
        before = (folder / "trials.jsonl").read_bytes() if (folder / "trials.jsonl").exists() else b""
        killed_after(rng.uniform(0.2, 3.0), "run", "--resume", str(folder), cwd=cwd)
        after = (folder / "trials.jsonl").read_bytes() if (folder / "trials.jsonl").exists() else b""
        assert after.startswith(before[: before.rfind(b"\n") + 1])  # nothing finished is ever taken back
    result = run_bench("run", "--resume", str(folder), cwd=cwd)
    assert result.returncode == 0, result.stderr
    check(folder)
    return "killed and finished"


def check(folder: Path) -> None:
    """As if nothing had happened."""
    trials = lines(folder)
    assert Counter(trial["id"] for trial in trials) == Counter(planned_ids(folder))
    assert not list(folder.rglob("*.tmp"))
    assert not [trial for trial in trials if trial["status"] == "failed"]
    for part in ("samples", "telemetry"):
        assert {path.stem for path in (folder / part).iterdir()} == {trial["id"] for trial in trials}
        for path in (folder / part).iterdir():
            assert read_table(path)
    for trial in trials:
        samples = read_table(folder / "samples" / f"{trial['id']}.parquet")
        assert sum(samples["counted"]) == trial["requests"]


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_a_run_is_whole(tmp_path: Path) -> None:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        outcomes = Counter(pool.map(lambda number: ordeal(number, tmp_path / str(number)), range(RUNS)))
    assert sum(outcomes.values()) == RUNS
    assert outcomes["killed and finished"] >= RUNS // 4, outcomes


def test_killed_in_the_middle_and_resumed_a_run_is_whole(tmp_path: Path) -> None:
    process = start_bench("run", *SPECIMEN, *SHORT, cwd=tmp_path)
    until(lambda: any((run / "trials.jsonl").exists() for run in run_folders(tmp_path / "results")), "a trial")
    left = children(process)
    process.kill()
    finish(process)
    until(lambda: not alive(left), "the end of its processes", 10)
    (folder,) = run_folders(tmp_path / "results")
    first = lines(folder)[0]
    (folder / "samples" / "left-behind.parquet.tmp").write_text("half")
    with (folder / "trials.jsonl").open("a") as file:
        file.write('{"id": "half a li')
    result = run_bench("run", "--resume", str(folder), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    check(folder)
    assert lines(folder)[0] == first


def test_while_a_run_is_written_nobody_else_can_resume_it(tmp_path: Path) -> None:
    process = start_bench("run", *SPECIMEN, *SHORT, "protocol.blocks=6", cwd=tmp_path)
    until(lambda: any((run / "plan.json").exists() for run in run_folders(tmp_path / "results")), "a plan")
    (folder,) = run_folders(tmp_path / "results")
    result = run_bench("run", "--resume", str(folder), cwd=tmp_path)
    assert result.returncode == 2
    assert "another process is writing this run" in result.stderr
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
