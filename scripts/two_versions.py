"""How often does `bench run --against` find a slow-down that was put in, and how often one that is not there?

    python scripts/two_versions.py --results versions --slower 0.05 [--times 20] [--model product] [option=value ...]

Makes a repository of two commits, the second slower by that share (0: the same), measures the second against the first
so many times, and counts the outcomes. Options are those of `bench run`. Interrupted, it goes on where it was when it
is called again with the same folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VERSIONS = Path(__file__).parent / "injected" / "versions"
OWN = (
    "workload=python", "workload.model=callable", "workload.inputs={item: {shape: [1]}}", "optimizations=[native]",
)  # fmt: skip


def main() -> int:
    arguments, options = _arguments()
    project = _project(arguments.results.resolve() / "project", arguments.model, arguments.slower)
    found: Counter[str] = Counter()
    for number in range(1, arguments.times + 1):
        outcome = _measured(project, arguments.results.resolve() / f"{number:03d}.json", arguments.model, options)
        found[outcome["outcome"]] += 1
        ratio = outcome["ratio"] or {"estimate": float("nan"), "low": float("nan"), "high": float("nan")}
        print(
            f"{number:3d}  {outcome['outcome']:20} {ratio['estimate']:.4f} [{ratio['low']:.4f}, {ratio['high']:.4f}]",
            f"of {outcome['base_units']} blocks",
            flush=True,
        )
    print(", ".join(f"{word}: {count} of {arguments.times}" for word, count in found.most_common()))
    return 0


def _project(root: Path, model: str, slower: float) -> Path:
    """A repository whose working tree is the second commit."""
    if root.exists():
        return root
    root.mkdir(parents=True)
    _git(root, "init", "-q")
    shutil.copy(VERSIONS / f"{model}.py", root)
    _commit(root, "as it was")
    if slower:
        (root / "slower.txt").write_text(str(slower))
    _commit(root, "as it is")
    return root


def _measured(project: Path, kept: Path, model: str, options: Sequence[str]) -> dict[str, Any]:
    """The outcome of one run, measured unless its file holds it already."""
    if not kept.exists():
        command = [sys.executable, "-m", "bench", "run", "--json", "--against", "HEAD~1"]
        own = [*OWN, f"workload.factory={model}:make", f"results_dir={kept.parent / 'runs'}"]
        done = subprocess.run(
            [*command, *own, *options],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
        )
        if done.returncode not in (0, 1, 4):
            sys.exit(done.stderr)
        kept.write_text(done.stdout)
    found: dict[str, Any] = json.loads(kept.read_text())[0]["comparison"][0]
    return found


def _commit(root: Path, words: str) -> None:
    _git(root, "add", "-A")
    _git(root, "commit", "-q", "--allow-empty", "-m", words)


def _git(root: Path, *words: str) -> None:
    own = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    subprocess.run(["git", "-C", str(root), *own, *words], check=True)


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--slower", type=float, required=True, metavar="SHARE")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--model", choices=("specimen", "product"), default="specimen")
    return parser.parse_known_args()


if __name__ == "__main__":
    raise SystemExit(main())
