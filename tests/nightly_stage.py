"""What the nightly gate is tried on: a package in a repository, and a bench of which only the exit codes matter."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from repositories import git

NIGHTLY = Path(__file__).resolve().parents[1] / "examples" / "nightly"
MODEL = """\
import time


def make():
    def wait(inputs):
        time.sleep({seconds})
        return inputs["x"] * 2

    return wait
"""
# Other work on the machine is no fault of these trials: cores that count as shared, and nobody watching them.
TONIGHT = """\
defaults:
  - nightly
  - override workload: python
  - override optimizations: [native]
  - override partitions: [time_shared]
  - override telemetry: []
  - _self_
workload:
  factory: mypackage.models:make
  model: callable
  inputs: {x: {shape: [4]}}
partitions: {time_shared: {tenants: 1}}
thresholds: {throughput: 0.05, energy: null}
protocol:
  {blocks: 5, doublings: 2, look_level: 0.02, warmup_min_s: 0, warmup_limit_s: 1, window_s: 0.2, min_requests: 10}
"""
RUN = """\
folder=$(for word; do echo "$word"; done | sed -n "s/^results_dir='\\(.*\\)'$/\\1/p" | sed "s/\\\\\\\\'/'/g")
mkdir "$folder/a-run" && touch "$folder/a-run/trials.jsonl"
"""
MEASURED_NOTHING = ""
WAITS = (
    RUN + "trap 'sleep 0.3; rm {started}; exit 130' TERM; touch {started}; for _ in $(seq 1000); do sleep 0.02; done"
)


def commit(folder: Path, seconds: float, words: str) -> str:
    """The package as it takes `seconds` for each item; the commit's name."""
    (folder / "mypackage" / "models.py").write_text(MODEL.format(seconds=seconds))
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", words)
    return head(folder)


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD").strip()


def make_package(folder: Path) -> Path:
    """A repository of one commit there, with its configuration."""
    (folder / "mypackage").mkdir(parents=True)
    (folder / "mypackage" / "__init__.py").touch()
    (folder / "perf").mkdir()
    (folder / "perf" / "tonight.yaml").write_text(TONIGHT)
    (folder / ".gitignore").write_text("__pycache__/\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, 0.02, "it answers")
    return folder


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def stub(tools: Path, code: int, run: str = RUN, doctor: int = 0) -> Path:
    """A bench in `tools` whose run does `run` and exits with `code`; the file that its calls are written to."""
    calls = tools / "calls"
    executable(
        tools / "bench",
        f"""#!/bin/sh
echo "$@" >> {shlex.quote(str(calls))}
case $1 in
  doctor) exit {doctor} ;;
  run) {run}
    echo "the words of bench"; exit {code} ;;
  compare) echo "| the table |" > "$4"; exit {code} ;;
esac
""",
    )
    return calls


def waiting(tools: Path) -> Path:
    """A bench in `tools` that measures until it is told to end; the file that is there while it does."""
    started = tools / "started"
    stub(tools, 0, run=WAITS.format(started=shlex.quote(str(started))))
    return started


def runs(calls: Path) -> Sequence[str]:
    """The calls of `bench run`."""
    return [line for line in calls.read_text().splitlines() if line.startswith("run ")] if calls.exists() else []
