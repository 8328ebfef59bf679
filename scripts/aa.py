"""How often does this machine see a difference where there is none, and how large are they? The noise floor.

    python scripts/aa.py --results aa [--experiments 20] [option=value ...]

Runs A/A experiments (the baseline against itself, in fresh processes, in balanced blocks), says in how many the 95 %
interval misses 1 (at most 3 of 20 are to be expected; 4 or more happen once in 60) and gives the median half-width of
those intervals: differences below it are noise here. Options are those of `bench run`. Interrupted, it goes on where
it was when it is called again with the same folder.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench.judge.evidence import RunEvidence
from bench.judge.speedup import LEVEL, SpeedUp
from bench.judge.statistics import Paired
from bench.stored import read_run

ALLOWED = 3
"""Of 20 experiments: more than that happen by chance in 1.6 % of cases."""


def main() -> int:
    arguments, options = _arguments()
    found: dict[str, list[Paired]] = {}
    for number in range(1, arguments.experiments + 1):
        for partition, paired in _experiment(arguments.results / f"{number:02d}", options).items():
            found.setdefault(partition, []).append(paired)
            print(f"{number:3d}  {partition:16} {_interval(paired)}", flush=True)
    most = 0
    for partition, pairs in found.items():
        significant = sum(_misses_one(paired) for paired in pairs)
        floor = math.expm1(median(paired.half_width(LEVEL) for paired in pairs))
        print(f"{partition}: {significant} of {len(pairs)} significant, noise floor {floor:.2%}")
        most = max(most, significant)
    return int(most > ALLOWED * max(1.0, arguments.experiments / 20))


def _experiment(folder: Path, options: list[str]) -> dict[str, Paired]:
    """Measure one experiment, unless its folder holds it already; partition -> baseline against itself."""
    plans = sorted(folder.glob("*/plan.json"))
    if plans and not _complete(plans[0].parent):
        shutil.rmtree(plans[0].parent)  # half an experiment: it is short, so it is measured anew
        plans = []
    if not plans:
        chosen = any(option.startswith("optimizations=") for option in options)
        own = ["protocol.later_looks=[]", f"results_dir={folder}", *([] if chosen else ["optimizations=[fp32]"])]
        subprocess.run([sys.executable, "-m", "bench", "run", *options, *own], check=True, capture_output=True)
        plans = sorted(folder.glob("*/plan.json"))
    evidence = RunEvidence(read_run(plans[0].parent))
    floors = {name: evidence.floor(name, evidence.plan.blocks) for name in evidence.partitions()}
    return {name: paired for name, paired in floors.items() if paired}


def _complete(folder: Path) -> bool:
    run = read_run(folder)
    return len(run.trials) == len(run.plan.trials)


def _interval(paired: Paired) -> str:
    found = SpeedUp.of(paired)
    sign = "  significant" if _misses_one(paired) else ""
    return f"{found.estimate:.4f} [{found.low:.4f}, {found.high:.4f}] of {found.pairs} pairs{sign}"


def _misses_one(paired: Paired) -> bool:
    interval = paired.interval(LEVEL)
    return interval is not None and not interval[0] <= 0 <= interval[1]


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder for the runs; may hold some already")
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("options", nargs="*", metavar="option=value", help="as for `bench run`")
    arguments = parser.parse_args()
    return arguments, arguments.options


if __name__ == "__main__":
    sys.exit(main())
